"""The plain filter by tag: what is safe is written, what is not only by force."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from examples.looped import fused, looped
from examples.staged import net
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.cutting.filtering import filter_nodes


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def test_modules_that_lie_together_are_kept(tmp_path: Path) -> None:
    path = saved(net(), tmp_path)
    made = filter_nodes(path, tmp_path / "f.onnx", keep=["blocks.0", "blocks.1"])
    assert made.ok
    assert made.unsafe == ()
    assert made.inputs == ("embed", "mask")
    assert made.outputs == ("scale", "b1")
    onnx.checker.check_model(onnx.load(tmp_path / "f.onnx"), full_check=True)


def test_a_hole_is_unsafe_and_written_only_by_force(tmp_path: Path) -> None:
    path = saved(looped(), tmp_path)
    made = filter_nodes(path, tmp_path / "f.onnx", drop=["b"])
    assert not made.ok
    assert "come back to it through Tanh 'b0' of b" in made.unsafe[0]
    assert not (tmp_path / "f.onnx").exists()
    forced = filter_nodes(path, tmp_path / "f.onnx", drop=["b"], force=True)
    assert forced.ok
    assert [node.name for node in onnx.load(tmp_path / "f.onnx").graph.node] == ["a0", "a1", "y"]


def test_a_node_of_both_sides_is_unsafe(tmp_path: Path) -> None:
    made = filter_nodes(saved(fused(), tmp_path), tmp_path / "f.onnx", keep=["a"])
    assert made.unsafe == ("a node (f) does work of modules on both sides of the filter",)


def test_what_cannot_be_filtered_is_refused(tmp_path: Path) -> None:
    path = saved(net(), tmp_path)
    with pytest.raises(TaggerError, match="nothing says which nodes"):
        filter_nodes(path, tmp_path / "f.onnx")
    with pytest.raises(TaggerError, match="no node is left"):
        filter_nodes(path, tmp_path / "f.onnx", drop=["**"])
