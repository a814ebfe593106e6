"""Sketches: what tools do to a weight does not change them, and another weight has another one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from onnx_tagger.hierarchy.digest import value_digests, without_zeros
from onnx_tagger.hierarchy.sketch import LEAST, MOST, agreements, channel_numbers, ranks_in, sketch_of

Array = npt.NDArray[np.float32]


def weight(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape or (32, 64)).astype(np.float32)


def bits(parameter: Array, stored: Array) -> float:
    return float(agreements([ranks_in(sketch_of(parameter))], channel_numbers(stored))[0])


def int8(values: Array) -> Array:
    scale = np.abs(values).max() / 127
    return np.round(values / scale)


def int4_by_row(values: Array) -> Array:
    return np.round(values / (np.abs(values).max(axis=1, keepdims=True) / 8))


def folded(values: Array) -> Array:
    return values * np.random.default_rng(9).uniform(-2, 2, (len(values), 1)).astype(np.float32)


def shuffled(values: Array) -> Array:
    return np.random.default_rng(9).permuted(values, axis=1)


def padded(values: Array) -> Array:
    return np.pad(values, [(0, 16), (0, 8)])


@pytest.mark.parametrize("change", [int8, int4_by_row, folded, shuffled, padded, lambda w: w.astype(np.float16)])
def test_what_tools_do_to_a_weight_leaves_its_sketch(change: object) -> None:
    values = weight(0)
    assert bits(values, change(values)) > 30  # type: ignore[operator]


def test_other_weights_do_not_agree() -> None:
    known = [ranks_in(sketch_of(weight(seed))) for seed in range(200)]
    found = agreements(known, channel_numbers(weight(1000)))
    # One of 200 has 2**-8 of all luck; twelve bits more would be a marvel.
    assert found.max() < 20
    assert np.median(found) < 2


def test_the_front_of_a_longer_weight_is_compared() -> None:
    values = weight(0, 40, 16)
    assert bits(values, np.concatenate([values, weight(1, 80, 16)])) > 40
    assert bits(values, values[:12]) > 20
    assert bits(values, values[: LEAST - 1]) == 0


def test_a_vector_is_ordered_by_its_values() -> None:
    values = weight(0, MOST + 5)
    assert len(sketch_of(values)) == 2 * MOST
    assert bits(values, np.round(values * 100)) > 40


@pytest.mark.parametrize(
    "values",
    [
        np.ones((16, 4), np.float32),
        np.zeros(16, np.float32),
        np.arange(16, dtype=np.float32),
        10000.0 ** (-np.arange(32, dtype=np.float32) / 32),
        weight(0, LEAST - 1, 4),
        np.full((16, 4), np.nan, np.float32),
        np.float32(3.0)[()].reshape(()),
        np.arange(64).reshape(16, 4),
        np.zeros((16, 0), np.float32),
    ],
)
def test_what_says_nothing_has_no_sketch(values: Array) -> None:
    assert sketch_of(values) == ""


def test_digests_without_zeros_know_padding_and_parts() -> None:
    one, other = weight(0, 4, 8), weight(1, 6, 8)
    whole = np.concatenate([one, other])
    sums = [without_zeros(value_digests(each)[0], each.size) for each in (one, other, whole, padded(whole))]
    assert (sums[0] + sums[1]) % 2**64 == sums[2] == sums[3]
