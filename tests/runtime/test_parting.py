"""A part beside the whole: equal, or how far apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import onnx_tagger as ot
from examples.staged import net
from onnx_tagger.runtime.parting import Piece, Whole, outputs_apart


def test_a_part_with_another_weight_differs_by_how_much(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "m.onnx")
    (part,) = ot.extract(tmp_path / "m.onnx", "blocks.0", tmp_path / "p.onnx").parts
    piece = Piece(tmp_path / "p.onnx", {one.name: one.source for one in part.inputs}, {"output": "b0"})
    whole = Whole(tmp_path / "m.onnx", [piece])
    assert whole.held(piece).different == ()
    model = onnx.load(tmp_path / "p.onnx")
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([2]), "one"))
    onnx.save(model, tmp_path / "p.onnx")
    held = whole.held(piece)
    assert held.different == ("output",)
    assert 0 < held.error < 10


def test_outputs_of_one_file_are_not_apart_and_of_another_are(tmp_path: Path) -> None:
    model = net()
    onnx.save(model, tmp_path / "m.onnx")
    assert outputs_apart(tmp_path / "m.onnx", tmp_path / "m.onnx").ok
    model.graph.node[-1].op_type = "Add"
    onnx.save(model, tmp_path / "other.onnx")
    assert not outputs_apart(tmp_path / "m.onnx", tmp_path / "other.onnx").ok
