"""Which node of a module is the first to compute what the reference does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from examples.faulty import file_of, tagged
from examples.trials import trial_of
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.comparison.comparison import Comparison
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.workflows.comparison.judging import comparison_of, judged
from onnx_tagger.workflows.comparison.operations import Known, values_of_file, with_suspects
from onnx_tagger.workflows.reading import read


def steps(factor: float = 1.0) -> onnx.ModelProto:
    """A module of three nodes, of which the second may be off, between two others."""
    return file_of(
        tagged(helper.make_node("Sigmoid", ["x"], ["s"]), "pre"),
        tagged(helper.make_node("Exp", ["s"], ["e"]), "mid"),
        tagged(helper.make_node("Mul", ["e", "c"], ["m"]), "mid"),
        tagged(helper.make_node("Sqrt", ["m"], ["r"]), "mid"),
        tagged(helper.make_node("Neg", ["r"], ["out"]), "head"),
        c=np.array(0.5 * factor, dtype=np.float32),
    )


def test_the_first_node_that_is_off_is_named(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, steps(), steps(1.1))
    trial.run_as_it_is()
    trial.run_with_reference()
    tree: ModuleTree = read(tmp_path / "model.onnx").modules
    blank = Comparison("r", "f", "sqnr", 1e-5, 1, (), ModuleTable.of(tree, [], []))
    found = comparison_of(judged(trial), tree, blank)
    assert list(found.bad) == ["mid"]
    reference = tmp_path / "reference.onnx"
    known = values_of_file(Probe(reference), read(reference).context, trial.feeds, ["mid"])
    (suspect,) = with_suspects(found, trial, known).operations
    assert (suspect.module, suspect.node, suspect.tensor) == ("mid", "main#2 Mul", "m")


def test_values_are_known_again_in_any_layout() -> None:
    known = Known()
    value = np.random.default_rng(0).standard_normal((3, 5))
    known.add(value)
    assert known.holds(value.T, 1e-6)
    assert not known.holds(value + 0.1, 1e-6)
    assert not known.holds(value[:2], 1e-6)
    assert known.holds(value + 1e-9, 1e-6)
