"""`each`: what is equal and better is put back, and a table says why the rest is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import onnx_tagger as ot
from examples.looped import looped
from examples.staged import net
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.cutting.improving import DIFFERS, FAILED, KEPT, NO_GAIN, REFUSED


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(net(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def same(model: onnx.ModelProto) -> None:
    """A tool that changes nothing."""


def fold(model: onnx.ModelProto) -> None:
    """A tool that computes the Exp of a weight beforehand."""
    (weight,) = model.graph.initializer
    weight.CopyFrom(numpy_helper.from_array(np.exp(numpy_helper.to_array(weight)), "scale"))
    del model.graph.node[0]


def test_what_is_smaller_is_put_back(file: Path, tmp_path: Path) -> None:
    made = ot.each(file, "blocks.*", tmp_path / "out.onnx", fold, gain="smaller", runs=4)
    assert [(gain.module, gain.verdict) for gain in made.gains] == [(f"blocks.{k}", KEPT) for k in range(3)]
    assert all(gain.bytes is not None and gain.bytes[1] < gain.bytes[0] for gain in made.gains)
    assert all(gain.error is not None and gain.error < 1e-5 for gain in made.gains)
    assert sum(node.op_type == "Exp" for node in onnx.load(tmp_path / "out.onnx").graph.node) == 0
    assert ot.check(tmp_path / "out.onnx").coverage == 100


def test_what_gains_nothing_stays(file: Path, tmp_path: Path) -> None:
    made = ot.each(file, "blocks.0", tmp_path / "out.onnx", same, gain="smaller", runs=4)
    assert [gain.verdict for gain in made.gains] == [NO_GAIN]
    assert made.put_back == 0
    assert onnx.load(tmp_path / "out.onnx").graph == onnx.load(file).graph


def test_what_computes_something_else_stays(file: Path, tmp_path: Path) -> None:
    def spoil(model: onnx.ModelProto) -> None:
        model.graph.node[-1].op_type = "Neg"

    (gain,) = ot.each(file, "blocks.0", tmp_path / "out.onnx", spoil, gain="any", runs=4).gains
    assert gain.verdict == DIFFERS
    assert "is allowed" in gain.why


def test_modules_that_cannot_be_cut_or_on_which_the_tool_fails_are_listed(tmp_path: Path) -> None:
    onnx.save(looped(), tmp_path / "m.onnx")

    def picky(model: onnx.ModelProto) -> None:
        if model.graph.node[0].op_type == "Abs":
            raise TaggerError("no Abs, please")

    made = ot.each(tmp_path / "m.onnx", "*", tmp_path / "out.onnx", picky, gain="any", runs=4)
    assert {gain.module: gain.verdict for gain in made.gains} == {"a": REFUSED, "b": KEPT, "c": FAILED}
    with pytest.raises(TaggerError, match=r"fails on every module; on 'c': .*no Abs"):
        ot.each(tmp_path / "m.onnx", "c", tmp_path / "other.onnx", picky, runs=4)
    assert not (tmp_path / "other.onnx").exists()
