"""Which module an error is of, what is not visible, and the sentences that say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from msgspec import structs
from onnx import helper

from examples.faulty import file_of, tagged
from examples.trials import WEIGHTS, chain, trial_of
from onnx_tagger.measures.comparison.comparison import TensorError
from onnx_tagger.workflows.comparison.judging import Judged, failures, judged, merged, sentence, table_of_tensors
from onnx_tagger.workflows.comparison.running import Trial
from onnx_tagger.workflows.reading import read

ERROR = TensorError("t", "fc", "fc", 0.05, 0.1, 1e-5, "float32", ["act"], differs=True)


def has_run(trial: Trial) -> Trial:
    trial.run_as_it_is()
    trial.run_with_reference()
    return trial


def test_an_error_is_of_the_module_that_makes_the_tensor(tmp_path: Path) -> None:
    found = judged(has_run(trial_of(tmp_path, chain(), chain({"v": 1.05}))))
    assert [(each.tensor, each.module, each.differs) for each in found.tensors] == [
        ("xa", "a", False),
        ("xt", "act", False),
        ("xb", "b", True),
        ("out", "head", False),
    ]
    assert (found.covered, found.outputs, found.hidden) == (100.0, [], {})


def fused(origins: tuple[str, ...] = ("a", "act")) -> onnx.ModelProto:
    """The chain with its first two modules in one node without a tensor between; only its shape is right."""
    return file_of(
        tagged(helper.make_node("Gemm", ["x", "u", "zero"], ["xt0"], "fused"), "", origins=origins),
        tagged(helper.make_node("Tanh", ["xt0"], ["xt"], "nt"), "", origins=origins),
        tagged(helper.make_node("MatMul", ["xt", "v"], ["xb"], "nb"), "b"),
        tagged(helper.make_node("MatMul", ["xb", "w"], ["out"], "nh"), "head"),
        zero=np.zeros(4, dtype=np.float32),
        **WEIGHTS,
    )


def test_a_module_that_was_fused_away_is_not_visible(tmp_path: Path) -> None:
    found = judged(has_run(trial_of(tmp_path, chain(), fused())))
    assert found.hidden == {"a": "not visible: fused with act"}
    assert next(each for each in found.tensors if each.module == "act").fused == ["a"]


def test_a_module_without_nodes_says_what_became_of_it(tmp_path: Path) -> None:
    reference = chain()
    reference.graph.node.insert(2, tagged(helper.make_node("Identity", ["xt"], ["same"]), "drop"))
    reference.graph.node[3].input[0] = "same"
    found = judged(has_run(trial_of(tmp_path, reference, chain())))
    assert found.hidden == {"drop": "not visible: it hands on what it takes"}


def test_sentences() -> None:
    assert sentence(ERROR) == (
        "fc: is off by 5.0e-02 by itself (at most 1.0e-05 is allowed for float32), at the tensor 't'; fused with act"
    )
    assert "is off beyond measure" in sentence(structs.replace(ERROR, local=None, module=""))
    assert sentence(structs.replace(ERROR, wild=True)).startswith("fc: has NaN or infinite numbers")
    assert sentence(structs.replace(ERROR, coarse="q")).endswith(
        "the range of 'q' is taken up by a few numbers, and the others get lost"
    )


def test_one_sentence_for_each_module_about_its_worst_tensor() -> None:
    other = structs.replace(ERROR, tensor="worse", local=0.5)
    found = Judged([ERROR, other, structs.replace(ERROR, module="b", differs=False)], {}, 100.0, [], [])
    assert [each.partition(";")[0].rpartition(" ")[2] for each in failures(found)] == ["'worse'"]
    (drift,) = failures(Judged([], {}, 100.0, ["y"], []))
    assert drift.startswith("the output 'y' is off although no module is by itself")


def test_the_worst_of_several_samples_counts() -> None:
    one = Judged([ERROR], {"a": "why", "b": "why"}, 90.0, [], [])
    other = Judged([structs.replace(ERROR, local=0.7, accumulated=None)], {"b": "why"}, 80.0, ["y"], [])
    found = merged([one, other])
    assert (found.tensors[0].local, found.tensors[0].accumulated) == (0.7, None)
    assert (list(found.hidden), found.covered, found.outputs) == (["b"], 80.0, ["y"])


def test_the_table_takes_the_largest_error_of_a_module(tmp_path: Path) -> None:
    onnx.save(chain(), tmp_path / "m.onnx")
    tree = read(tmp_path / "m.onnx").modules
    errors = [structs.replace(ERROR, module="a", local=local) for local in (0.1, None, 0.2)]
    table = table_of_tensors(errors, tree)
    assert table["a"].total["local error"] == float("inf")
    assert table["a"].total["tensors"] == 3
