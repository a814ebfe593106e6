"""Student's t: intervals around means, and how unlikely a difference of two means is.

Only what a handful of sessions asks for, so that numpy is enough. The distribution function is the regularised
incomplete beta function, evaluated by its continued fraction with Lentz's method: DLMF 8.17.22 and 26.8, and Press et
al., *Numerical Recipes*, 6.4 and 14.2. Degrees of freedom may be fractions, as Welch's test has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

import numpy as np

from onnx_tagger.model.texts import brief_fields

_TINY, _EXACT, _MOST_STEPS = 1e-300, 1e-15, 500


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval.

    Attributes
    ----------
    mean : float
    half : float or None
        Half the width of the 95 % interval; None where one number alone says nothing of it.
    count : int
        How many numbers it is of.
    """

    mean: float
    half: float | None
    count: int

    __repr__ = brief_fields


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """The mean of some numbers, such as of one a session, with its t interval.

    Examples
    --------
    >>> found = estimate([9.0, 10.0, 11.0])
    >>> found.mean, round(found.half, 3), found.count
    (10.0, 2.484, 3)
    """
    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return Estimate(mean, None, count)
    spread = float(np.std(values, ddof=1))
    return Estimate(mean, quantile(0.5 + level / 2, count - 1) * spread / sqrt(count), count)


def two_sided(t: float, freedom: float) -> float:
    """How likely it is that a t of so many degrees of freedom is at least so far from 0, on either side.

    Examples
    --------
    >>> round(two_sided(2.776445, 4), 4)
    0.05
    """
    return 1.0 if t == 0 else _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def quantile(share: float, freedom: float) -> float:
    """The t that a share of more than one half lies below, by bisection.

    Examples
    --------
    >>> round(quantile(0.975, 4), 4), round(quantile(0.975, 1), 3)
    (2.7764, 12.706)
    """
    low, high = 0.0, 1.0
    while 1 - two_sided(high, freedom) / 2 < share:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - two_sided(middle, freedom) / 2 < share else (low, middle)
    return (low + high) / 2


def welch(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    """Welch's test of two samples with variances of their own.

    Parameters
    ----------
    before, after : sequence of float
        Two or more numbers each.

    Returns
    -------
    tuple of float
        The difference of the means, half the width of its 95 % interval, and how likely such a difference is by chance.

    References
    ----------
    B. L. Welch, *The generalization of "Student's" problem when several different population variances are involved*,
    Biometrika 34, 1947.
    """
    errors = [float(np.var(values, ddof=1)) / len(values) for values in (before, after)]
    off = float(np.mean(after)) - float(np.mean(before))
    whole = sum(errors)
    if whole == 0:
        return off, 0.0, 1.0 if off == 0 else 0.0
    counts = (len(before), len(after))
    freedom = whole**2 / sum(error**2 / (count - 1) for error, count in zip(errors, counts, strict=True))
    return off, quantile(0.975, freedom) * sqrt(whole), two_sided(off / sqrt(whole), freedom)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The continued fraction converges quickly on this side; the other one follows by symmetry.
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = exp(a * log(x) + b * log(1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a
    return front * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """DLMF 8.17.22 by the modified method of Lentz, two steps a turn."""
    upper, lower = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    found = lower
    for step in range(1, _MOST_STEPS):
        even = step * (b - step) * x / ((a - 1 + 2 * step) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 1 + 2 * step))
        before = found
        for term in (even, odd):
            lower = 1 / _nonzero(1 + term * lower)
            upper = _nonzero(1 + term / upper)
            found *= lower * upper
        if abs(found - before) <= _EXACT * abs(found):
            break
    return found


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
