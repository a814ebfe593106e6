"""One file beside a recording: errors as they add up, and each by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from examples.faulty import file_of, tagged
from examples.trials import WEIGHTS, X, chain, trial_of


def test_an_equal_file_has_no_errors(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, chain(), chain())
    trial.run_as_it_is()
    trial.run_with_reference()
    assert list(trial.pairing.chosen) == ["xa", "xt", "xb", "out"]
    assert max(*trial.local.values(), *trial.accumulated.values()) == 0.0
    assert not any(map(trial.differs, trial.local))


def test_an_error_passes_on_in_the_run_as_it_is_and_not_in_the_other(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, chain(), chain({"u": 1.05}))
    trial.run_as_it_is()
    trial.run_with_reference()
    assert all(error > 1e-3 for error in trial.accumulated.values())
    assert {name: trial.differs(name) for name in trial.local} == {"xa": True, "xt": False, "xb": False, "out": False}
    assert trial.local["xa"] == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize(("metric", "least"), [("max", 0.04), ("cosine", 0.0), ("ulp", 1e5)])
def test_errors_are_in_the_metric_that_was_asked_for(tmp_path: Path, metric: str, least: float) -> None:
    trial = trial_of(tmp_path, chain(), chain({"u": 1.05}), metric=metric)  # type: ignore[arg-type]
    trial.run_as_it_is()
    trial.run_with_reference()
    assert trial.local["xa"] >= least


def test_one_that_stops_looks_at_nothing_behind_the_first(tmp_path: Path) -> None:
    bad = trial_of(tmp_path, chain(), chain({"v": 1.05}))
    bad.run_as_it_is()
    bad.run_with_reference(stop_at_first=True)
    assert [name for name in bad.local if bad.differs(name)] == ["xb"]
    good = trial_of(tmp_path, chain(), chain())
    good.run_as_it_is()
    good.run_with_reference(stop_at_first=True)
    assert not good.local


def test_what_is_not_finite_is_wild_where_it_begins(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, chain(), chain({"v": float("nan")}))
    trial.run_as_it_is()
    trial.run_with_reference()
    assert trial.wild == {"xb"}


def test_a_tensor_that_was_taken_for_another_value_is_let_go(tmp_path: Path) -> None:
    def halves(swapped: bool) -> object:
        """Two modules that make tensors of one shape from one, and one that tells them apart."""
        one, other = ("Tanh", "Neg") if not swapped else ("Neg", "Tanh")
        names = ("p", "q") if not swapped else ("q", "p")
        return file_of(
            tagged(helper.make_node("Relu", ["x"], ["r"]), "pre"),
            tagged(helper.make_node(one, ["r"], [names[0]]), "two"),
            tagged(helper.make_node(other, ["r"], [names[1]]), "two"),
            tagged(helper.make_node("Sub", ["p", "q"], ["out"]), "head"),
        )

    trial = trial_of(tmp_path, halves(False), halves(True), feeds={"x": np.abs(X)})  # type: ignore[arg-type]
    trial.run_as_it_is()
    trial.run_with_reference()
    assert not any(map(trial.differs, trial.local))


def hidden_layers(*, quantised: bool) -> onnx.ModelProto:
    """Two products with a Relu behind each; in integers, whose range does the work of the Relus."""
    ends, nodes, reads = {"u": ("us", "zero"), "v": ("vs", "zero")}, [], "x"
    for weight in ("u", "v"):
        made = f"y{weight}"
        nodes.append(tagged(helper.make_node("MatMul", [reads, weight], [made]), f"fc_{weight}"))
        if quantised:
            rounded = helper.make_node("QuantizeLinear", [made, *ends[weight]], [f"q{weight}"])
            nodes.append(tagged(rounded, f"fc_{weight}"))
            back = helper.make_node("DequantizeLinear", [f"q{weight}", *ends[weight]], [f"r{weight}"])
            nodes.append(tagged(back, "head" if weight == "v" else "fc_v"))
        else:
            nodes.append(tagged(helper.make_node("Relu", [made], [f"r{weight}"]), f"act_{weight}"))
        reads = f"r{weight}"
    nodes.append(tagged(helper.make_node("MatMul", [reads, "w"], ["out"]), "head"))
    stored = {**WEIGHTS, "us": np.float32(0.02), "vs": np.float32(0.03), "zero": np.array(0, dtype=np.uint8)}
    if not quantised:
        stored = dict(WEIGHTS)
    return file_of(*nodes, **stored)


def test_a_range_that_does_the_work_of_a_relu_is_no_error_in_layer_after_layer(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, hidden_layers(quantised=False), hidden_layers(quantised=True))
    trial.run_as_it_is()
    trial.run_with_reference()
    assert {"qu", "qv"} & set(trial.pairing.chosen)
    assert not [name for name in trial.local if trial.differs(name)]
