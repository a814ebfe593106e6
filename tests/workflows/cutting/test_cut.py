"""A file opened for cutting: its tree, types asked once, and reasons why a module cannot be cut."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from examples.looped import fused, looped
from onnx_tagger.workflows.cutting.cut import Choice, Opened
from onnx_tagger.workflows.cutting.region import NotExtractedError


def opened(model: onnx.ModelProto, folder: Path) -> Opened:
    onnx.save(model, folder / "m.onnx")
    return Opened.of(folder / "m.onnx", None)


def test_types_are_inferred_once(tmp_path: Path) -> None:
    found = opened(fused(), tmp_path)
    cut = found.cut("c", Choice())
    assert cut.names == {"f": "(root)/f", "y": "output"}
    found.ask_types(cut.names)
    assert [dim.dim_value for dim in found.types["f"].type.tensor_type.shape.dim] == [4, 4]
    held = found.types["f"]
    found.ask_types(cut.names)
    assert found.types["f"] is held
    assert found.channels(cut) == {}


def test_a_module_without_nodes_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotExtractedError, match="fused away, folded, or never called"):
        opened(looped(), tmp_path).cut("d", Choice())
