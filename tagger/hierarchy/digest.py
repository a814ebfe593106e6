"""Order-free digests of tensor values, by which a weight is known again when it was renamed, transposed or cast."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from concurrent.futures import Future

Array = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]
Sums = tuple[int, int]
Span = tuple[Array, Array | None]

# Shorter tensors are constants as often as weights: their values prove nothing.
LEAST_VALUES = 8

# Elements that are mixed at a time. Threads wait for Python's lock behind each step of the mixing, which takes the
# longer in comparison the fewer they are; of more than these, words are no longer in the processor's caches.
_BLOCK = 1 << 17

# Elements that a thread takes at a time; numpy lets go of Python's lock while it computes.
_SHARE = 1 << 19

# Elements from which on it is worth to have a table of rounded float32, and to hand a tensor to a thread.
_MANY = 1 << 16


def value_digests(values: Array, half: Array | None = None) -> tuple[str, str]:
    """Two digests of a tensor's values that do not depend on their order.

    The first is of the values as they are stored, the second of the values rounded to float16: a transposed copy has
    equal digests, a copy cast to float16 an equal second one.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape; any dtype of 1, 2, 4, 8 or 16 bytes an element. Types that numpy lacks come as their bit patterns.
    half : numpy.ndarray, optional
        The values that the second digest is of, if `values` holds bit patterns (bfloat16 as uint16): as many of them,
        in any shape.

    Returns
    -------
    tuple of (str, str)
        Sums modulo 2**64 of mixed bit patterns, each as 16 hexadecimal digits.

    Raises
    ------
    ValueError
        If `half` has more or fewer elements than `values`.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> value_digests(a) == value_digests(a.T), value_digests(a)[1] == value_digests(a.astype(np.float16))[1]
    (True, True)
    """
    flat, numbers = _flat(values, half)
    # Threads take turns at the lock for each step on a block; short of a share there is no work for two.
    if flat.size >= 2 * _SHARE and _cores() > 1:
        return next(all_digests([(flat, numbers)]))
    return _shown([_sums((flat, numbers))])


def stored_digest(values: Array) -> str:
    """The first of the two digests alone, in half the time.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.arange(6, dtype=np.float32)
    >>> stored_digest(a) == value_digests(a)[0]
    True
    """
    flat, _ = _flat(values, None)
    mixer = _Mixer(min(flat.size, _BLOCK) * (2 if flat.itemsize > 8 or flat.dtype.kind == "c" else 1))
    total = sum(mixer.stored(flat[start : start + _BLOCK]) for start in range(0, flat.size, _BLOCK))
    return f"{total % 2**64:016x}"


def all_digests(tensors: Iterable[tuple[Array, Array | None]]) -> Iterator[tuple[str, str]]:
    """Digests of many tensors, in as many threads as there are cores.

    Parameters
    ----------
    tensors : iterable of (numpy.ndarray, numpy.ndarray or None)
        What `value_digests` takes. A few are held at a time.

    Yields
    ------
    tuple of (str, str)
        What `value_digests` gives, in the order of the tensors.

    Raises
    ------
    ValueError
        If a tensor's two arrays differ in size.
    """
    from concurrent.futures import ThreadPoolExecutor  # a re-tag that compares no values does without

    threads = _cores()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[list[Future[Sums] | Sums]] = deque()
        ahead = 0
        for values, half in tensors:
            waiting.append(
                [pool.submit(_sums, span) if _is_large(span) else _sums(span) for span in _spans(values, half)]
            )
            ahead += len(waiting[-1])
            while ahead > 4 * threads:
                ahead -= len(waiting[0])
                yield _shown(waiting.popleft())
        yield from map(_shown, waiting)


def added(digests: Iterable[str]) -> str:
    """The digest of a whole, given those of its parts.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.arange(6, dtype=np.float32)
    >>> added([stored_digest(a[:2]), stored_digest(a[2:])]) == stored_digest(a)
    True
    """
    return f"{sum(int(digest, 16) for digest in digests) % 2**64:016x}"


def digests_of_blocks(blocks: Iterable[Array]) -> tuple[str, str]:
    """What `value_digests` gives of a tensor that is read in parts, a few of which are held at a time.

    Parameters
    ----------
    blocks : iterable of numpy.ndarray
        Of one type, in any order.
    """
    found = list(all_digests((block, None) for block in blocks))
    return added(stored for stored, _ in found), added(rounded for _, rounded in found)


def without_zeros(digest: str, size: int) -> int:
    """What a digest of so many values adds up to without its zeros.

    It is the same for a copy that was padded with zeros, and those of the parts of a tensor add up, modulo 2**64, to
    that of the whole.

    Parameters
    ----------
    digest : str
        From `value_digests`, of values of at most 8 bytes each.
    size : int
        How many values it is of.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.arange(1, 7, dtype=np.float32)
    >>> padded = np.concatenate([a, np.zeros(2, np.float32)])
    >>> without_zeros(value_digests(a)[0], 6) == without_zeros(value_digests(padded)[0], 8)
    True
    """
    return (int(digest, 16) - size * int(_table()[0])) % 2**64


def _flat(values: Array, half: Array | None) -> Span:
    """A tensor's elements in one row, and the numbers that they stand for in another."""
    if half is not None and half.size != values.size:
        raise ValueError(
            f"'half' has {half.size} elements, 'values' has {values.size}: give one number for each pattern"
        )
    numbers = np.ascontiguousarray(half).reshape(-1) if half is not None else None
    return np.ascontiguousarray(values).reshape(-1), numbers


def _spans(values: Array, half: Array | None) -> Iterator[Span]:
    """A tensor in the parts that threads take."""
    flat, numbers = _flat(values, half)
    for start in range(0, flat.size, _SHARE):
        part = slice(start, start + _SHARE)
        yield flat[part], numbers[part] if numbers is not None else None


def _is_large(span: Span) -> bool:
    """Whether handing a span to a thread takes less than the work on it."""
    return span[0].size >= _MANY


def _shown(sums: Iterable[Future[Sums] | Sums]) -> tuple[str, str]:
    """The digests of a tensor, given the sums over its parts."""
    found = [part if isinstance(part, tuple) else part.result() for part in sums]
    stored, rounded = (sum(part[at] for part in found) % 2**64 for at in (0, 1))
    return f"{stored:016x}", f"{rounded:016x}"


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sums(span: Span) -> Sums:
    """Add up the mixed words of a span, as they are stored and rounded to float16."""
    flat, numbers = span
    mixer = _Mixer(min(flat.size, _BLOCK) * (2 if flat.itemsize > 8 or flat.dtype.kind == "c" else 1))
    stored = rounded = 0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        stored += mixer.stored(block)
        # What is float16 is the same number, rounded to float16.
        if numbers is not None or block.dtype != np.float16:
            rounded += mixer.rounded(block if numbers is None else numbers[start : start + _BLOCK], flat.size >= _MANY)
    return stored, rounded if numbers is not None or flat.dtype != np.float16 else stored


class _Mixer:
    """Adds up mixed words of blocks, in memory that is kept from one block to the next."""

    def __init__(self, size: int) -> None:
        self.words, self.shifted = np.empty((2, size), np.uint64)
        self.places = np.empty(size, np.intp)
        self.patterns = np.empty((2, size), np.uint32)
        self.missing = np.empty(size, bool)

    def stored(self, block: Array) -> int:
        """The sum of the mixed words of bit patterns."""
        size = block.dtype.itemsize
        if size <= 2:
            return self._looked_up(block.view(np.dtype(f"u{size}")))
        patterns = block.view(np.dtype(f"u{min(size, 8)}"))
        words = self.words[: patterns.size]
        np.copyto(words, patterns)
        return _total(_mix(words, self.shifted[: patterns.size]))

    def rounded(self, block: Array, many: bool) -> int:
        """The sum of the mixed words of numbers rounded to float16."""
        if block.dtype.kind == "c":
            block = block.view(block.real.dtype)
        if many and block.dtype == np.float32 and not _any_nan(block):
            return self._rounded(block)
        return self._looked_up(_as_half(block))

    def _rounded(self, block: npt.NDArray[np.float32]) -> int:
        """The same of float32 alone, without NaN: numpy rounds number by number, which takes longer than all else."""
        patterns = _rounded_patterns(block.view(np.uint32), self.patterns[:, : block.size])
        words = self._taken(_rounded_table(), patterns)
        missing = np.equal(words, _ABSENT, out=self.missing[: block.size])
        total = _total(words)
        if missing.any():
            total += self._looked_up(_as_half(block[missing]))
        return total

    def _looked_up(self, patterns: Array) -> int:
        """The sum of the mixed words of patterns of one or two bytes."""
        return _total(self._taken(_table(), patterns))

    def _taken(self, table: Words, patterns: Array) -> Words:
        places = self.places[: patterns.size]
        np.copyto(places, patterns, casting="unsafe")
        # No pattern is out of the table's bounds; unless told to clip, numpy looks at each five times as long.
        return table.take(places, mode="clip", out=self.shifted[: patterns.size])


def _mix(words: Words, shifted: Words) -> Words:
    """In place the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable random number generators, 2014)."""
    words += np.uint64(0x9E3779B97F4A7C15)
    for bits, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        words ^= np.right_shift(words, np.uint64(bits), out=shifted)
        if factor > 1:
            words *= np.uint64(factor)
    return words


def _rounded_patterns(bits: npt.NDArray[np.uint32], into: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The nearest patterns of the bits that float16 keeps, of two the even one; `into` has two rows for them."""
    patterns: npt.NDArray[np.uint32] = into[0]
    odd: npt.NDArray[np.uint32] = into[1]
    np.right_shift(bits, _DROPPED, out=odd)
    np.bitwise_and(odd, np.uint32(1), out=odd)
    np.add(bits, odd, out=patterns)
    np.add(patterns, _BELOW_HALF, out=patterns)
    np.right_shift(patterns, _DROPPED, out=patterns)
    return patterns


def _total(words: Words) -> int:
    return int(np.add.reduce(words))


def _as_half(numbers: Array) -> npt.NDArray[np.uint16]:
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers.astype(np.float16).view(np.uint16)


def _any_nan(numbers: npt.NDArray[np.float32]) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.isnan(np.maximum.reduce(numbers)))


@cache
def _table() -> Words:
    """The mixed words of all patterns of two bytes, and so of one."""
    return _mix(np.arange(1 << 16, dtype=np.uint64), np.empty(1 << 16, np.uint64))


# A float32 has so many bits of mantissa more than a float16, and this is what falls just short of half of the last
# bit that is kept.
_DROPPED, _BELOW_HALF = np.uint32(13), np.uint32(0x0FFF)

# What stands in the table of rounded float32 for a pattern that does not tell; no pattern of two bytes is mixed to it.
_ABSENT = np.uint64(0)

# Exponents of float32 that float16 keeps with fewer bits of mantissa.
_SUBNORMAL = slice(102, 113)


@cache
def _rounded_table() -> Words:
    """The mixed words of float32 numbers with as many bits of mantissa as float16 has, sign and exponent before them.

    Nothing stands for the numbers that float16 rounds to fewer bits still, which must not be rounded twice.
    """
    kept = np.arange(1 << 19, dtype=np.uint32) << _DROPPED
    table = _table()[_as_half(kept.view(np.float32))].reshape(2, 256, 1 << 10)
    table[:, _SUBNORMAL] = _ABSENT
    return table.reshape(-1)
