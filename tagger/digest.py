"""Order-free digests of tensor values, by which a weight is known again when it was renamed, transposed or cast."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_CHUNK = 1 << 20


def _mix(words: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed


@cache
def _half_table() -> Words:
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
    stored = 0
    table = 0
    for start in range(0, flat.size, _CHUNK):
        stored += _stored_sum(flat[start : start + _CHUNK])
        table += _half_sum(rounded[start : start + _CHUNK])
    return f"{stored % 2**64:016x}", f"{table % 2**64:016x}"


def _stored_sum(chunk: npt.NDArray[Any]) -> int:
    size = chunk.dtype.itemsize
    if size > 8:
        chunk, size = chunk.view(np.uint64), 8
    words = chunk.view(np.dtype(f"u{size}")).astype(np.uint64)
    return int(_mix(words).sum(dtype=np.uint64))


def _half_sum(chunk: npt.NDArray[Any]) -> int:
    if chunk.dtype.kind == "c":
        chunk = chunk.view(chunk.real.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        patterns = chunk.astype(np.float16).view(np.uint16)
    return int(_half_table()[patterns].sum(dtype=np.uint64))
