"""Numbers as people read them."""

from __future__ import annotations

from math import isfinite


def shown(value: float | None) -> str:
    """A number as a word: counts without a point, others with four significant digits or one decimal, a dash for none.

    Examples
    --------
    >>> [shown(value) for value in (3.0, 12345678.0, 0.333333, 1234.5678, 2.5e-7, None)]
    ['3', '12345678', '0.3333', '1234.6', '2.5e-07', '-']
    """
    if value is None:
        return "-"
    if not isfinite(value):
        return str(value)
    if abs(value) >= 1 << 53:
        return f"{value:.4g}"
    if value == int(value):
        return str(int(value))
    return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}"
