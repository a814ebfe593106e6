"""Which tensor is which value: by borders, by agreement, and by what integers stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper

from examples.faulty import file_of, tagged
from examples.trials import chain, trial_of
from onnx_tagger.workflows.comparison.pairing import Pairing, Scale


def pairing_of(folder: Path, model: object) -> Pairing:
    trial = trial_of(folder, chain(), model)  # type: ignore[arg-type]
    trial.run_as_it_is()
    return trial.pairing


def test_tensors_at_the_borders_of_one_module_are_its_values(tmp_path: Path) -> None:
    renamed = chain()
    for node in renamed.graph.node:
        node.input[:] = [f"{name}_" if name in ("xa", "xt", "xb") else name for name in node.input]
        node.output[:] = [f"{name}_" if name in ("xa", "xt", "xb") else name for name in node.output]
    found = pairing_of(tmp_path, renamed)
    assert list(found.chosen) == ["xa_", "xt_", "xb_", "out"]
    assert all(match.error == 0.0 for match in found.chosen.values())


def test_a_transposed_tensor_is_laid_out_as_it_lies(tmp_path: Path) -> None:
    model = chain()
    model.graph.node[0].output[0] = "plain"
    model.graph.node.insert(1, tagged(helper.make_node("Transpose", ["plain"], ["xa"], perm=[1, 0]), "a"))
    model.graph.node.insert(2, tagged(helper.make_node("Transpose", ["xa"], ["back"], perm=[1, 0]), "act"))
    model.graph.node[3].input[0] = "back"
    found = pairing_of(tmp_path, model)
    assert found.chosen["xa"].error == 0.0
    assert found.chosen["xa"].order == (1, 0)
    np.testing.assert_array_equal(found.given(["xa"])["xa"], found.recording.values[found.chosen["xa"].value].T)


def test_values_are_given_in_the_type_of_the_tensor(tmp_path: Path) -> None:
    model = chain()
    model.graph.node[0].output[0] = "single"
    model.graph.node.insert(1, tagged(helper.make_node("Cast", ["single"], ["xa"], to=10), "a"))
    model.graph.node.insert(2, tagged(helper.make_node("Cast", ["xa"], ["back"], to=1), "act"))
    model.graph.node[3].input[0] = "back"
    assert pairing_of(tmp_path, model).given(["xa"])["xa"].dtype == np.float16


def test_integers_are_compared_by_what_they_stand_for(tmp_path: Path) -> None:
    model = chain()
    model.graph.node[1].output[0] = "float"
    ends = ["step", "zero"]
    model.graph.node.insert(2, tagged(helper.make_node("QuantizeLinear", ["float", *ends], ["xt"]), "act"))
    model.graph.node.insert(3, tagged(helper.make_node("DequantizeLinear", ["xt", *ends], ["d"]), "b"))
    model.graph.node[4].input[0] = "d"
    more = file_of(helper.make_node("Neg", ["x"], ["out"]), step=np.float32(1 / 127), zero=np.array(0, dtype=np.int8))
    model.graph.initializer.extend(more.graph.initializer)
    found = pairing_of(tmp_path, model)
    assert 0 < found.chosen["xt"].error < 0.02
    assert found.given(["xt"])["xt"].dtype == np.int8


def test_numbers_and_integers_of_a_scale() -> None:
    scale = Scale(np.array(0.5), np.array(10, dtype=np.uint8))
    assert scale.integers(np.array([-9.0, 0.0, 1.2, 999.0]), np.dtype(np.uint8)).tolist() == [0, 10, 12, 255]
    assert scale.numbers(np.array([10, 12], dtype=np.uint8)).tolist() == [0.0, 1.0]


def test_how_far_two_values_of_a_tensor_are_apart(tmp_path: Path) -> None:
    found = pairing_of(tmp_path, chain())
    assert found.apart("xa", np.array([3.0, 4.0], dtype=np.float32), np.array([3.0, 3.0], dtype=np.float32)) == 0.2
