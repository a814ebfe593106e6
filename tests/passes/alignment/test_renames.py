"""What tools put behind names: a hint for each entry of the tables, and none for any other name."""

from __future__ import annotations

import pytest

from onnx_tagger.passes.alignment.renames import CONVERTED, NODES, STORED, TENSORS, Suffix, called_after


@pytest.mark.parametrize("suffix", [*NODES, *TENSORS, *STORED, *CONVERTED], ids=lambda suffix: suffix.text)
def test_every_suffix_says_whose_it_is_and_is_found(suffix: Suffix) -> None:
    table = next(table for table in (NODES, TENSORS, STORED, CONVERTED) if suffix in table)
    assert suffix.tool
    assert suffix.means
    assert "/layer/MatMul" in called_after(f"/layer/MatMul{suffix.text}", table)
    assert not list(called_after(f"{suffix.text}/layer/MatMul", table))
