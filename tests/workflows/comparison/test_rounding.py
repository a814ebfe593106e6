"""The noise of rounding, as it is measured: equal to what rounding does, and nothing for scales that lose numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from examples.faulty import file_of, tagged
from onnx_tagger.workflows.comparing import compare
from onnx_tagger.workflows.comparison.rounding import (
    AMPLIFIED,
    Rounded,
    Roundings,
    moved,
    noise_of_rounding,
    roundings,
    spanned,
    stored_moved,
)

WEIGHT = np.random.default_rng(3).standard_normal((4, 4)).astype(np.float32)


def quantised(tmp_path: Path, scale: float, factor: float = 1.0, weight: np.ndarray = WEIGHT) -> tuple[Path, Path]:
    """A product in floats, and the same with its input rounded in steps of a scale and a weight of 8 bits."""
    step = np.float32(np.abs(weight).max() / 127)
    ends = {"zero": np.array(0, dtype=np.int8), "s": np.array(scale, dtype=np.float32)}
    plain = [
        tagged(helper.make_node("Identity", ["x"], ["a"]), "pre"),
        tagged(helper.make_node("MatMul", ["a", "w"], ["b"]), "fc"),
        tagged(helper.make_node("Tanh", ["b"], ["out"]), "head"),
    ]
    rounded = [
        plain[0],
        tagged(helper.make_node("QuantizeLinear", ["a", "s", "zero"], ["q"]), "fc"),
        tagged(helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["d"]), "fc"),
        tagged(helper.make_node("DequantizeLinear", ["wq", "ws", "zero"], ["wd"]), "fc"),
        tagged(helper.make_node("MatMul", ["d", "wd"], ["b"]), "fc"),
        plain[2],
    ]
    integers = np.rint(weight / step).astype(np.int8)
    onnx.save(file_of(*plain, w=weight), tmp_path / "plain.onnx")
    onnx.save(file_of(*rounded, wq=integers, ws=np.float32(factor * step), **ends), tmp_path / "rounded.onnx")
    return tmp_path / "plain.onnx", tmp_path / "rounded.onnx"


FEEDS = {"x": np.random.default_rng(0).uniform(-1, 1, (2, 4)).astype(np.float32)}


def test_what_is_allowed_is_a_few_times_what_rounding_does(tmp_path: Path) -> None:
    one, other = quantised(tmp_path, 1 / 127)
    found = compare(one, other, FEEDS)
    assert found.ok
    error = next(each for each in found.tensors if each.module == "fc")
    step = np.abs(WEIGHT).max() / 127
    random, clean = np.random.default_rng(1), FEEDS["x"] @ WEIGHT
    trials = [
        (FEEDS["x"] + random.uniform(-0.5, 0.5, (2, 4)) / 127) @ (WEIGHT + random.uniform(-0.5, 0.5, (4, 4)) * step)
        for _ in range(500)
    ]
    true = np.sqrt(np.mean([(np.linalg.norm(each - clean) / np.linalg.norm(clean)) ** 2 for each in trials]))
    assert error.tolerance == pytest.approx(4.3 * true, rel=0.5)


@pytest.mark.parametrize("factor", [1.2, 0.9])
def test_a_wrong_scale_of_a_weight_is_not_hidden_by_it(tmp_path: Path, factor: float) -> None:
    one, other = quantised(tmp_path, 1 / 127, factor)
    assert list(compare(one, other, FEEDS).bad) == ["fc"]


def test_steps_that_a_mask_makes_coarse_are_named(tmp_path: Path) -> None:
    one, other = quantised(tmp_path, 1e36)
    feeds = {"x": FEEDS["x"].copy()}
    feeds["x"][0, 0] = -1.2e38
    found = compare(one, other, feeds)
    assert list(found.bad) == ["fc"]
    assert found.bad["fc"].coarse == "q"
    assert "the range of 'q' is taken up by a few numbers, and the others get lost" in found.failures[0]


def test_what_rounds_and_by_which_scale() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DynamicQuantizeLinear", ["x"], ["d", "ds", "dz"]),
        helper.make_node("QLinearMatMul", ["q", "s", "z", "w", "ws", "wz", "ys", "yz"], ["y"]),
        helper.make_node("Relu", ["x"], ["r"]),
    ]
    assert list(roundings(nodes)) == [Rounded("q", "s", ""), Rounded("d", "ds", "dz"), Rounded("y", "ys", "yz")]


def test_steps_stay_in_the_range_and_can_be_drawn_anew() -> None:
    integers = np.random.default_rng(0).integers(-128, 128, 1000).astype(np.int8)
    seen = Roundings({"q": Rounded("q", "s", "z")})
    seen.look("q", integers, np.array(0.1, dtype=np.float32), np.array(0, dtype=np.int8))
    assert set(np.unique(seen.steps["q"])) == {-1, 1}
    assert np.abs(moved(integers, seen.steps["q"]).astype(int) - integers).max() == 1
    assert (moved(integers, seen.steps["q"]) != integers).all()
    again = seen.redrawn(1)
    assert (again.steps["q"] != seen.steps["q"]).mean() == pytest.approx(0.5, abs=0.1)
    nudge = seen.nudges(-1)["q"]
    np.testing.assert_array_equal(nudge.steps, -seen.steps["q"].astype(np.float32))
    assert (nudge.scale, nudge.zero) == ("s", "z")
    given = seen.given(1, {"q": integers, "other": integers})
    assert (given["q"] != integers).all()
    assert given["other"] is integers


def test_a_scale_for_each_channel_or_more_than_a_byte_is_left_alone() -> None:
    seen = Roundings({})
    integers = np.arange(-128, 128).astype(np.int8)
    seen.look("a", integers, np.ones(2, dtype=np.float32), None)
    seen.look("b", integers.astype(np.int32), np.ones(1, dtype=np.float32), None)
    seen.look("c", integers, None, None)
    assert not seen.steps


def test_numbers_that_take_up_little_of_the_range_are_moved_like_others_unless_a_mask_takes_up_the_rest() -> None:
    seen = Roundings({})
    few = np.array([125, 126, 127], dtype=np.int8)
    seen.look("q", few, np.array(0.1, dtype=np.float32), np.array(-128, dtype=np.int8))
    assert list(seen.steps) == ["q"]
    seen.look("m", np.append(few, np.int8(-128)), np.array(1e36, dtype=np.float32), np.array(127, dtype=np.int8))
    assert list(seen.coarse) == ["m"]
    assert list(seen.steps) == ["q"]
    assert spanned(np.array([-128, 127], dtype=np.int8), 0, float("inf"))[1]


def test_stored_numbers_of_four_bits_move_in_their_halves() -> None:
    packed = np.random.default_rng(0).integers(0, 256, 500).astype(np.uint8)
    off = stored_moved(packed, 4, 1, np.random.default_rng(0))
    for shift in (0, 4):
        steps = ((off >> shift) & 15).astype(int) - ((packed >> shift) & 15)
        assert np.abs(steps).max() == 1
        assert (steps != 0).mean() > 0.9
    whole = np.random.default_rng(0).integers(-127, 127, 500).astype(np.int8)
    there, back = (stored_moved(whole, 8, sign, np.random.default_rng(0)).astype(int) - whole for sign in (1, -1))
    np.testing.assert_array_equal(there, -back)


def test_noise_is_what_comes_to_an_error() -> None:
    random = np.random.default_rng(0)
    error, noise = random.standard_normal(20), 0.1 * random.standard_normal(20)
    both = [float(np.linalg.norm(error + sign * noise)) for sign in (1, -1)]
    found = noise_of_rounding(float(np.linalg.norm(error)), both)
    assert found == pytest.approx(float(np.linalg.norm(noise)) / AMPLIFIED)
    assert noise_of_rounding(0.1, [float("inf"), 0.1]) == 0.0
