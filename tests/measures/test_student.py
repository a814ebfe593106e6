"""Student's t against tabulated values, and the tests that are built on it."""

import math

import numpy as np
import pytest

from onnx_tagger.measures.student import estimate, quantile, two_sided, welch


@pytest.mark.parametrize(
    ("share", "freedom", "value"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2.
    [
        (0.9, 1, 3.078),
        (0.975, 1, 12.706),
        (0.99, 1, 31.821),
        (0.975, 2, 4.303),
        (0.95, 3, 2.353),
        (0.975, 4, 2.776),
        (0.995, 4, 4.604),
        (0.999, 8, 4.501),
        (0.975, 30, 2.042),
        (0.999, 100, 3.174),
    ],
)
def test_quantiles_of_the_tables(share: float, freedom: float, value: float) -> None:
    assert quantile(share, freedom) == pytest.approx(value, abs=6e-4)
    assert two_sided(quantile(share, freedom), freedom) == pytest.approx(2 * (1 - share), rel=1e-9)


def test_closed_forms() -> None:
    for t in (0.1, 1.0, 7.5, 300.0):
        assert two_sided(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, rel=1e-9)
        assert two_sided(-t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-7)
    assert two_sided(0, 3) == 1.0


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        found = estimate(random.normal(5.0, 2.0, 5).tolist())
        assert found.half is not None
        hits += abs(found.mean - 5.0) <= found.half
    assert 930 <= hits <= 970


def test_one_number_has_no_interval() -> None:
    assert estimate([3.0]).half is None
    assert estimate([3.0, 3.0]).half == 0.0


def test_welch_of_samples_with_other_variances() -> None:
    # By hand: variances 1 and 4 over 3 and 4 numbers.
    before, after = [1.0, 2.0, 3.0], [3.0, 5.0, 7.0, 5.0]
    off, half, chance = welch(before, after)
    error = 1 / 3 + (8 / 3) / 4
    freedom = error**2 / ((1 / 3) ** 2 / 2 + (2 / 3) ** 2 / 3)
    assert off == 3.0
    assert half == pytest.approx(quantile(0.975, freedom) * math.sqrt(error))
    assert chance == pytest.approx(two_sided(3 / math.sqrt(error), freedom))


def test_welch_of_numbers_that_do_not_scatter() -> None:
    assert welch([1.0, 1.0], [1.0, 1.0]) == (0.0, 0.0, 1.0)
    assert welch([1.0, 1.0], [2.0, 2.0]) == (1.0, 0.0, 0.0)


def test_false_alarms_are_as_rare_as_they_should_be() -> None:
    random = np.random.default_rng(1)
    alarms = sum(welch(random.normal(0, 1, 5).tolist(), random.normal(0, 3, 5).tolist())[2] < 0.05 for _ in range(1000))
    assert 25 <= alarms <= 70
