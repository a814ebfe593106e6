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
    if not quantised:
        nodes = [
            tagged(helper.make_node("MatMul", ["x", "u"], ["yu"]), "fc_u"),
            tagged(helper.make_node("Relu", ["yu"], ["ru"]), ""),
            tagged(helper.make_node("MatMul", ["ru", "v"], ["yv"]), "fc_v"),
            tagged(helper.make_node("Relu", ["yv"], ["rv"]), ""),
            tagged(helper.make_node("MatMul", ["rv", "w"], ["out"]), "head"),
        ]
        return file_of(*nodes, **WEIGHTS)
    weights = {name: np.rint(WEIGHTS[name] / 0.02).clip(-127, 127).astype(np.int8) for name in "uv"}
    scales = {"xs": 0.02, "ws": 0.02, "us": 0.03, "vs": 0.06}
    products = [
        helper.make_node("QLinearMatMul", [*reads, weight, "ws", "zero", step, "low"], [made])
        for reads, weight, step, made in (
            (("qx", "xs", "mid"), "u", "us", "qu"),
            (("qu", "us", "low"), "v", "vs", "qv"),
        )
    ]
    nodes = [
        tagged(helper.make_node("QuantizeLinear", ["x", "xs", "mid"], ["qx"]), "fc_u"),
        tagged(products[0], "fc_u"),
        tagged(products[1], "fc_v"),
        tagged(helper.make_node("DequantizeLinear", ["qv", "vs", "low"], ["rv"]), "head"),
        tagged(helper.make_node("MatMul", ["rv", "w"], ["out"]), "head"),
    ]
    zeros = {name: np.array(value, dtype=np.uint8) for name, value in (("low", 0), ("mid", 128))}
    stored = {**{name: np.float32(value) for name, value in scales.items()}, **zeros, **weights}
    return file_of(*nodes, zero=np.array(0, dtype=np.int8), w=WEIGHTS["w"], **stored)


def test_a_range_that_does_the_work_of_a_relu_is_no_error_in_layer_after_layer(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, hidden_layers(quantised=False), hidden_layers(quantised=True))
    trial.run_as_it_is()
    trial.run_with_reference()
    assert {"qu", "qv"} <= set(trial.pairing.chosen)
    assert not [name for name in trial.local if trial.differs(name)]


def test_what_is_forgiven_does_not_hold_against_what_it_is_computed_of(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, chain(), chain())
    trial.run_as_it_is()
    trial.run_with_reference()
    trial.local |= {"xa": 0.5, "xt": 0.5, "xb": 0.5}
    trial._cut_off = {"xt": 0.0, "xb": 0.0}
    trial._forgive()
    assert [name for name in trial.local if trial.differs(name)] == ["xa"]
    trial.local |= {"xt": 0.5, "xb": 0.5, "out": 0.5}
    trial._forgive()
    assert [name for name in trial.local if trial.differs(name)] == ["xa", "xt", "xb", "out"]
