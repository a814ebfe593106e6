"""How far tensors are apart, and in which order one lies in another."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.comparison.distances import check_metric, distance, laid_out, orders
from onnx_tagger.measures.comparison.metrics import METRICS

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_tensors_are_not_apart(metric: str) -> None:
    value = RANDOM.standard_normal((3, 4)).astype(np.float32)
    assert distance(value, value.copy(), check_metric(metric)) == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_a_larger_error_is_further_away(metric: str) -> None:
    value = RANDOM.standard_normal(100).astype(np.float32)
    noise = RANDOM.standard_normal(100).astype(np.float32)
    small, large = (distance(value, value + np.float32(size) * noise, check_metric(metric)) for size in (1e-4, 1e-2))
    assert 0 < small < large


def test_the_quick_way_says_what_the_exact_one_says() -> None:
    one = RANDOM.standard_normal(1000).astype(np.float32)
    other = one * np.float32(1.001)
    assert distance(one, other) == pytest.approx(distance(one.astype(np.float64), other.astype(np.float64)), rel=1e-3)


def test_masks_of_any_size_are_the_same() -> None:
    assert distance(np.array([1.0, -np.inf]), np.array([1.0, -3e38])) == 0.0


def test_what_is_not_a_number_in_one_alone_is_beyond_measure() -> None:
    assert distance(np.array([1.0, 2.0]), np.array([1.0, np.nan])) == float("inf")
    assert distance(np.array([np.nan, 2.0]), np.array([np.nan, 2.0])) == 0.0


def test_steps_of_the_type_are_counted() -> None:
    one = np.ones(4, dtype=np.float32)
    assert distance(one, one + np.spacing(np.float32(1.0)), "ulp") == pytest.approx(1.0)


def test_a_transposed_tensor_is_found() -> None:
    value = RANDOM.standard_normal((1, 3, 5, 4))
    found = np.transpose(value, (0, 2, 3, 1))
    ways = orders(value.shape, found.shape)
    assert min(distance(laid_out(value, way, found.shape), found) for way in ways) == 0.0


@pytest.mark.parametrize(("wanted", "found"), [((2, 3), (6,)), ((1, 2, 3), (2, 3)), ((2, 3, 4), (6, 4))])
def test_another_shape_of_the_same_numbers_keeps_their_order(wanted: tuple[int, ...], found: tuple[int, ...]) -> None:
    assert orders(wanted, found) == [None]


def test_tensors_of_other_sizes_cannot_be_the_same() -> None:
    assert orders((2, 3), (7,)) == []


def test_an_unknown_metric() -> None:
    with pytest.raises(TaggerError, match="no metric is named 'psnr': choose from sqnr, max, cosine, ulp"):
        check_metric("psnr")
