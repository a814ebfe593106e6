"""Digests of tensor values: order-free, shape-free, and equal after a cast to float16."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from onnx_tagger import digest
from onnx_tagger.digest import value_digests

floats = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=5), elements=st.floats(width=32))


@given(floats, st.integers(0, 99))
def test_order_and_shape_do_not_count(values: NDArray[np.float32], seed: int) -> None:
    flat = values.reshape(-1).copy()
    np.random.default_rng(seed).shuffle(flat)
    assert value_digests(values) == value_digests(flat) == value_digests(values.T)


@given(floats)
def test_a_copy_in_float16_has_the_second_digest(values: NDArray[np.float32]) -> None:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    assert value_digests(values)[1] == value_digests(half)[1]


@given(floats, st.integers(0, 124), st.integers(1, 2**32 - 1))
def test_another_bit_pattern_has_another_digest(values: NDArray[np.float32], at: int, flip: int) -> None:
    changed = values.copy()
    words = changed.reshape(-1).view(np.uint32)
    words[at % words.size] ^= np.uint32(flip)
    assert value_digests(changed)[0] != value_digests(values)[0]


def test_how_often_a_value_occurs_counts() -> None:
    assert value_digests(np.zeros(3, np.float32)) != value_digests(np.zeros(4, np.float32))
    one, other = np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.0])
    assert value_digests(one)[0] != value_digests(other)[0]


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int32", "int64", "float16", "float32", "float64", "complex128"]
)
def test_every_width_has_a_digest(dtype: str) -> None:
    values = np.arange(7).astype(dtype)
    first, second = value_digests(values)
    assert len(first) == len(second) == 16
    assert value_digests(values[::-1]) == (first, second)


def test_bit_patterns_come_with_their_values() -> None:
    values = np.array([1.0, -2.5], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    assert value_digests(bits, values)[1] == value_digests(values)[1]
    assert value_digests(bits, values)[0] == value_digests(bits)[0]


def test_empty_and_scalar() -> None:
    assert value_digests(np.zeros((0, 3), np.float32)) == ("0" * 16, "0" * 16)
    assert value_digests(np.float32(3.0)[()].reshape(())) == value_digests(np.array([3.0], np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8, np.complex64])
def test_blocks_and_threads_add_up(monkeypatch: pytest.MonkeyPatch, dtype: npt.DTypeLike) -> None:
    values = (100 * np.random.default_rng(1).standard_normal(1000)).astype(dtype)
    whole = value_digests(values)
    monkeypatch.setattr(digest, "_BLOCK", 7)
    assert value_digests(values) == whole
    monkeypatch.setattr(digest, "_SHARE", 100)
    monkeypatch.setattr(digest, "_cores", lambda: 3)
    assert value_digests(values) == whole


def test_values_are_pinned() -> None:
    """Saved maps hold these: another formula would make every old map miss its weights."""
    assert value_digests(np.arange(6, dtype=np.float32)) == ("eadaabb7fb73f222", "1e45fcc9408ec793")
