"""Digests of tensor values: order-free, shape-free, and equal after a cast to float16."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from onnx_tagger.hierarchy import digest
from onnx_tagger.hierarchy.digest import all_digests, value_digests

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


@pytest.mark.parametrize("sizes", [(6, 5), (6, 1), (1, 6), (6, 0), (200, 199)])
def test_bit_patterns_without_a_number_each_are_refused(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int]
) -> None:
    monkeypatch.setattr(digest, "_BLOCK", 7)
    monkeypatch.setattr(digest, "_SHARE", 100)
    values, half = np.zeros(sizes[0], np.uint16), np.zeros(sizes[1], np.float16)
    told = f"'half' has {sizes[1]} elements, 'values' has {sizes[0]}"
    with pytest.raises(ValueError, match=told):
        value_digests(values, half)
    with pytest.raises(ValueError, match=told):
        list(all_digests([(values, half)]))


def test_empty_and_scalar() -> None:
    assert value_digests(np.zeros((0, 3), np.float32)) == ("0" * 16, "0" * 16)
    assert value_digests(np.float32(3.0)[()].reshape(())) == value_digests(np.array([3.0], np.float32))


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.float16, np.int8, np.complex64, np.complex128, np.longdouble]
)
def test_blocks_and_threads_add_up(monkeypatch: pytest.MonkeyPatch, dtype: npt.DTypeLike) -> None:
    values = (100 * np.random.default_rng(1).standard_normal(1000)).astype(dtype)
    whole = value_digests(values)
    monkeypatch.setattr(digest, "_BLOCK", 7)
    assert value_digests(values) == whole
    monkeypatch.setattr(digest, "_SHARE", 100)
    monkeypatch.setattr(digest, "_MANY", 50)
    monkeypatch.setattr(digest, "_cores", lambda: 3)
    assert value_digests(values) == whole


def test_many_tensors_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_SHARE", 50)
    monkeypatch.setattr(digest, "_MANY", 20)
    drawn = np.random.default_rng(2)
    tensors = [drawn.standard_normal(size).astype(np.float32) for size in (3, 200, 0, 51, 20, 1)] * 9
    halves = [None if at % 3 else tensor * 2 for at, tensor in enumerate(tensors)]
    pairs = list(zip(tensors, halves, strict=True))
    assert list(all_digests(pairs)) == [value_digests(*pair) for pair in pairs]


def edges() -> NDArray[np.float32]:
    """Every sign, exponent and kept bit of float32, each with what is dropped just below, at and above a half."""
    kept = np.arange(1 << 19, dtype=np.uint32) << 13
    dropped = np.array([0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF], np.uint32)
    return (kept[:, None] | dropped).reshape(-1).view(np.float32)


def test_float32_is_rounded_as_numpy_rounds() -> None:
    """The table is asked for each pattern by itself, so that no two errors cancel out."""
    values = edges()
    with np.errstate(over="ignore", invalid="ignore"):
        told = values.astype(np.float16).view(np.uint16)
    assert value_digests(values)[1] == value_digests(told.view(np.float16))[1]
    assert values.size > 4 * digest._MANY
    bits = values.view(np.uint32)[~np.isnan(values)]
    found = digest._rounded_table()[digest._rounded_patterns(bits, np.empty((2, bits.size), np.uint32))]
    right = digest._table()[told[~np.isnan(values)]]
    exponents = bits >> 23 & 0xFF
    subnormal = (exponents >= 102) & (exponents < 113)
    assert np.array_equal(found[~subnormal & (found > 0)], right[~subnormal & (found > 0)])
    assert not found[subnormal & (exponents < 112)].any()
    assert np.count_nonzero(found[~subnormal] == 0) < 20, "only what is rounded up to a number that is left out"


def test_numbers_that_are_none_are_rounded_as_numpy_rounds() -> None:
    values = np.tile(np.array([1.0], np.float32), 3 * digest._MANY)
    patterns = np.array([0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF], np.uint32)
    values[100:106] = patterns.view(np.float32)
    with np.errstate(invalid="ignore"):
        half = values.astype(np.float16)
    assert value_digests(values)[1] == value_digests(half)[1]


def test_values_are_pinned() -> None:
    """Saved maps hold these: another formula would make every old map miss its weights."""
    assert value_digests(np.arange(6, dtype=np.float32)) == ("eadaabb7fb73f222", "1e45fcc9408ec793")
    spread = np.arange(1 << 20, dtype=np.uint32) * np.uint32(4093) % np.uint32(0x7F800000)
    assert value_digests(spread.view(np.float32)) == ("e76f52c957c26dc6", "7e36278ac887a22f")
