"""Numbers and texts as people read them."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given, strategies as st

from onnx_tagger.measures.shown import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (-0.0, "0"),
        (-3.0, "-3"),
        (84.0, "84"),
        (12345678.0, "12345678"),
        (0.123456, "0.1235"),
        (2.5e-7, "2.5e-07"),
        (999.96, "1000"),
        (1234.5678, "1234.6"),
        (-1234.5678, "-1234.6"),
        (1e300, "1e+300"),
        (inf, "inf"),
        (-inf, "-inf"),
        (nan, "nan"),
    ],
)
def test_shown(value: float | None, text: str) -> None:
    assert shown(value) == text


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_counts_are_exact(count: int) -> None:
    assert shown(float(count)) == str(count)


@given(st.floats(-1e300, 1e300))
def test_a_number_is_short_and_close(value: float) -> None:
    text = shown(value)
    assert len(text) <= 18
    assert float(text) == pytest.approx(value, rel=1e-3)
