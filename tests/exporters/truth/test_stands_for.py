"""Which operations of torch an ONNX operator may stand for."""

import onnx
import pytest
import torch

from onnx_tagger.exporters.truth.stands_for import _ATEN, same_operator


@pytest.mark.parametrize("operator", _ATEN)
def test_each_name_is_an_operator_of_onnx_and_of_torch(operator: str) -> None:
    assert onnx.defs.has(operator)
    unknown = [name for name in _ATEN[operator].split() if not hasattr(torch.ops.aten, name)]
    assert unknown == []


def test_an_operation_in_place_is_the_same() -> None:
    assert same_operator("Add", "add_")
    assert same_operator("And", "__and__")
    assert not same_operator("Add", "sub")
    assert not same_operator("NoSuchOperator", "add")
