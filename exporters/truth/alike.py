"""Which tensors hold the same values, in whatever order: found by a few probes, not by comparing all with all.

Exporters transpose, reshape and cast, so neither order, shape nor type count here. Values of floating point agree
within what another order of summation changes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onnx_tagger.exporters.truth.observed import Values

Numbers = npt.NDArray[np.float64]

# Kernels differ in the order of their sums.
RELATIVE = 2e-3
ABSOLUTE = 2e-5

# Beyond it a number is an "as small as can be" of a mask; the formats write it differently.
_ENDLESS = 1e30

# Of several that agree within the tolerance, only those count that are about as near as the nearest.
_NEAR = 4.0
_NOISE = 1e-6

_PROBES = 8


def in_order(values: Values) -> Numbers:
    """A tensor's values, flat, in one type for all."""
    flat: Numbers = np.asarray(values, dtype=np.float64).reshape(-1) + 0.0
    flat[flat > _ENDLESS] = np.inf
    flat[flat < -_ENDLESS] = -np.inf
    return flat


def in_order_of_size(values: Values) -> Numbers:
    """The same, sorted."""
    return np.sort(in_order(values))


def unpadded(numbers: Numbers, shape: tuple[int, ...], channels: int) -> Numbers | None:
    """Sorted values without the zeros that fill up so many channels of a tensor; None if there are not as many zeros.

    Parameters
    ----------
    numbers : numpy.ndarray
        From `in_order_of_size`.
    shape : tuple of int
        The tensor's, the channels second.
    channels : int
        How many of them hold nothing.
    """
    start, end = np.searchsorted(numbers, 0.0, side="left"), np.searchsorted(numbers, 0.0, side="right")
    count = channels * numbers.size // shape[1]
    return np.delete(numbers, slice(int(start), int(start) + count)) if count <= end - start else None


def distance(one: Numbers, other: Numbers) -> float:
    """The largest difference of two lists of values, as a share of the largest; infinite if they disagree."""
    if one.size != other.size:
        return float("inf")
    finite = np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(one[finite]).all():
        return float("inf")
    differences, size = np.abs(one[finite] - other[finite]), np.abs(other[finite])
    scale = max(float(size.max(initial=0.0)), 1e-3)
    if (differences > ABSOLUTE * scale + RELATIVE * size).any():
        return float("inf")
    return float(differences.max(initial=0.0)) / scale


def _probes(numbers: Numbers) -> Numbers:
    places = ((np.arange(_PROBES) * 2 + 1) * numbers.size // (2 * _PROBES)).astype(np.int64)
    # The third quarter comes first: many operations make their smallest and largest values equal.
    places[[0, 3 * _PROBES // 4]] = places[[3 * _PROBES // 4, 0]]
    found: Numbers = np.nan_to_num(numbers[places], nan=0.0, posinf=10 * _ENDLESS, neginf=-10 * _ENDLESS)
    return found


@dataclass
class _Bucket:
    """The distinct value lists of one size, by their first probe."""

    first: list[float]
    probes: Numbers
    classes: list[int]


class Alike:
    """Classes of tensors that hold exactly the same values.

    Parameters
    ----------
    tensors : iterable of (numpy.ndarray or None)
        None, and empty ones, are in no class.

    Attributes
    ----------
    of : list of (int or None)
        The class of each tensor.
    members : list of list of int
        The positions of the tensors of each class.
    """

    def __init__(self, tensors: Iterable[Values | None]) -> None:
        self.of: list[int | None] = []
        self.members: list[list[int]] = []
        self._numbers: list[Numbers] = []
        self._exact: dict[tuple[int, bytes], int] = {}
        for position, tensor in enumerate(tensors):
            self.of.append(None if tensor is None or not tensor.size else self._add(tensor, position))
        self._buckets = self._sorted()

    def _add(self, tensor: Values, position: int) -> int:
        numbers = in_order_of_size(tensor)
        key = _key(numbers)
        found = self._exact.setdefault(key, len(self.members))
        if found == len(self.members):
            self.members.append([])
            self._numbers.append(numbers)
        self.members[found].append(position)
        return found

    def _sorted(self) -> dict[int, _Bucket]:
        by_size: dict[int, list[int]] = defaultdict(list)
        for number, values in enumerate(self._numbers):
            by_size[values.size].append(number)
        buckets = {}
        for size, classes in by_size.items():
            probes = np.stack([_probes(self._numbers[number]) for number in classes])
            order = np.argsort(probes[:, 0], kind="stable")
            buckets[size] = _Bucket(probes[order, 0].tolist(), probes[order], [classes[i] for i in order])
        return buckets

    def find(self, numbers: Numbers, *, exact: bool = False) -> tuple[int, ...]:
        """The classes whose values are these: exactly, or within the tolerance and none much nearer.

        Parameters
        ----------
        numbers : numpy.ndarray
            From `in_order_of_size`.
        exact : bool
            For integers and booleans.
        """
        if exact:
            found = self._exact.get(_key(numbers))
            return () if found is None else (found,)
        bucket = self._buckets.get(numbers.size)
        if bucket is None or not numbers.size:
            return ()
        apart = {}
        for number in self._probable(bucket, numbers):
            away = distance(numbers, self._numbers[number])
            if away < float("inf"):
                apart[number] = away
        nearest = min(apart.values(), default=0.0)
        return tuple(number for number, away in apart.items() if away <= _NEAR * nearest + _NOISE)

    def _probable(self, bucket: _Bucket, numbers: Numbers) -> list[int]:
        """The classes of one size whose probes agree."""
        probes = _probes(numbers)
        size = np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0)
        # A little more than `distance` allows, which measures by the other side's values.
        allowed = 1.1 * (ABSOLUTE * max(float(size), 1e-3) + RELATIVE * np.abs(probes))
        start = bisect_left(bucket.first, float(probes[0] - allowed[0]))
        end = bisect_right(bucket.first, float(probes[0] + allowed[0]))
        close = (np.abs(bucket.probes[start:end] - probes) <= allowed).all(axis=1)
        return [bucket.classes[start + int(place)] for place in np.flatnonzero(close)]


def _key(numbers: Numbers) -> tuple[int, bytes]:
    return numbers.size, hashlib.blake2b(numbers.tobytes(), digest_size=16).digest()
