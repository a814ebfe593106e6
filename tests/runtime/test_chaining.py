"""Stages beside the whole: a chain that differs is found out."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_tagger as ot
from examples.staged import net
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.chaining import chain, same, shapes_of


@pytest.fixture
def stages(tmp_path: Path) -> list[Path]:
    onnx.save(net(), tmp_path / "m.onnx")
    made = ot.split(tmp_path / "m.onnx", tmp_path / "out", "embed | blocks.0 | **")
    return [tmp_path / "out" / stage.file for stage in made.stages]


def test_a_stage_that_was_changed_is_found_out(stages: list[Path], tmp_path: Path) -> None:
    assert chain(tmp_path / "m.onnx", stages).equal
    model = onnx.load(stages[1])
    model.graph.node[-1].op_type = "Sin"
    onnx.save(model, stages[1])
    found = chain(tmp_path / "m.onnx", stages)
    assert not found.equal
    assert found.different == ("y",)


def test_inputs_may_be_given(stages: list[Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", x=np.ones((4, 4), np.float32))
    assert chain(tmp_path / "m.onnx", stages, tmp_path / "v.npz").equal


def test_a_chain_with_a_stage_left_out_is_an_error(stages: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="no earlier stage gives"):
        chain(tmp_path / "m.onnx", [stages[0], stages[2]])


def test_same_is_of_bits() -> None:
    assert not same(np.float32([0.0]), np.float32([-0.0]))
    assert not same(np.float32([1]), np.float64([1]))
    assert same([np.float32([1])], [np.float32([1])])
    assert not same([1], None)


def test_shapes_are_those_of_a_run(tmp_path: Path) -> None:
    model = net()
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_value")
    onnx.save(model, tmp_path / "m.onnx")
    found = shapes_of(tmp_path / "m.onnx")
    assert found["embed"] == ("float32", (2, 4)) or found["embed"][1][1] == 4
    assert found["w"][1] == (4, 4)
