"""Order-free digests of tensor values, by which a weight is known again when it was renamed, transposed or cast."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

# Elements that are mixed at a time: their words stay in the processor's nearest caches from step to step.
_BLOCK = 1 << 14

# Elements that are worth a thread of their own; numpy lets go of Python's lock while it computes.
_SHARE = 1 << 19


def _mix(words: Words) -> Words:
    """In place the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable random number generators, 2014)."""
    shifted = np.empty_like(words)
    words += np.uint64(0x9E3779B97F4A7C15)
    for bits, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        words ^= np.right_shift(words, np.uint64(bits), out=shifted)
        if factor > 1:
            words *= np.uint64(factor)
    return words


@cache
def _table() -> Words:
    """The mixed words of all patterns of two bytes, and so of one."""
    return _mix(np.arange(1 << 16, dtype=np.uint64))


def value_digests(values: npt.NDArray[Any], half: npt.NDArray[Any] | None = None) -> tuple[str, str]:
    """Two digests of a tensor's values that do not depend on their order.

    The first is of the values as they are stored, the second of the values rounded to float16: a transposed copy has
    equal digests, a copy cast to float16 an equal second one.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape; any dtype of 1, 2, 4, 8 or 16 bytes an element. Types that numpy lacks come as their bit patterns.
    half : numpy.ndarray, optional
        The values that the second digest is of, if `values` holds bit patterns (bfloat16 as uint16).

    Returns
    -------
    tuple of (str, str)
        Sums modulo 2**64 of mixed bit patterns, each as 16 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> value_digests(a) == value_digests(a.T), value_digests(a)[1] == value_digests(a.astype(np.float16))[1]
    (True, True)
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    rounded = flat if half is None else np.ascontiguousarray(half).reshape(-1)
    stored = _summed(_stored_sum, flat)
    # What is float16 is the same number, rounded to float16.
    table = stored if rounded is flat and flat.dtype == np.float16 else _summed(_half_sum, rounded)
    return f"{stored % 2**64:016x}", f"{table % 2**64:016x}"


def _summed(block_sum: Callable[[npt.NDArray[Any]], int], flat: npt.NDArray[Any]) -> int:
    """Add up all blocks of an array, in as many threads as there are cores and work for them."""
    threads = min(_cores(), flat.size // _SHARE)
    if threads < 2:
        return _span_sum(block_sum, flat)
    spans = np.array_split(flat, threads)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(partial(_span_sum, block_sum), spans))


def _span_sum(block_sum: Callable[[npt.NDArray[Any]], int], flat: npt.NDArray[Any]) -> int:
    return sum(block_sum(flat[start : start + _BLOCK]) for start in range(0, flat.size, _BLOCK))


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stored_sum(block: npt.NDArray[Any]) -> int:
    size = block.dtype.itemsize
    if size <= 2:
        return _looked_up(block.view(np.dtype(f"u{size}")))
    if size > 8:
        block, size = block.view(np.uint64), 8
    words = block.view(np.dtype(f"u{size}")).astype(np.uint64)
    return int(_mix(words).sum(dtype=np.uint64))


def _half_sum(block: npt.NDArray[Any]) -> int:
    if block.dtype.kind == "c":
        block = block.view(block.real.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return _looked_up(block.astype(np.float16).view(np.uint16))


def _looked_up(patterns: npt.NDArray[Any]) -> int:
    """The sum of the mixed words of patterns of one or two bytes."""
    # No pattern is out of the table's bounds; unless told to clip, numpy looks at each five times as long.
    return int(_table().take(patterns, mode="clip").sum(dtype=np.uint64))
