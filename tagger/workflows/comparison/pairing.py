"""Which tensor of a file is which value of the reference: by the borders of calls, then by agreement.

A value that agrees with a tensor at the border where it was recorded is that tensor. Where none agrees, the border, the
shape and the place in the file decide, and the choice is held to what the run shows afterwards: a tensor whose own
value leads to the right results further down, where the reference's does not, was another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from onnx_tagger.measures.comparison.distances import LARGEST, Values, distance, laid_out, orders
from onnx_tagger.measures.comparison.metrics import Metric
from onnx_tagger.measures.comparison.recorded import Recording
from onnx_tagger.workflows.comparison.borders import Borders

# Two tensors are copies if their distances from a value are apart by no more than this share.
_ALIKE = 1e-6

# Errors that are looked at in full for one tensor; further candidates only if a sample of their numbers is near.
_FULL, _SAMPLE, _NEAR = 4, 256, 0.2

# What a call gives counts more, at a node of the very call, than who takes it; and the value's own name more than both.
_BY_CALL, _BY_NAME = 100, 1000

Order = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Scale:
    """How the integers of a tensor stand for numbers.

    Attributes
    ----------
    scale, zero : numpy.ndarray
    axis : int
        The axis of several scales.
    """

    scale: Values
    zero: Values
    axis: int = 1

    def numbers(self, integers: Values) -> Values:
        """What integers stand for."""
        scale, zero = (self._along(each, integers.ndim) for each in (self.scale, self.zero))
        found: Values = (integers.astype(np.float32) - zero.astype(np.float32)) * scale
        return found

    def integers(self, numbers: Values, dtype: np.dtype[np.generic]) -> Values:
        """The integers that stand for numbers, rounded."""
        scale, zero = (self._along(each, numbers.ndim) for each in (self.scale, self.zero))
        bounds = np.iinfo(dtype.name)
        found: Values = np.clip(np.rint(numbers / scale) + zero.astype(np.float32), bounds.min, bounds.max)
        return found.astype(dtype)

    def _along(self, each: Values, ndim: int) -> Values:
        if each.size == 1:
            return each.reshape(())
        shape = [1] * ndim
        shape[self.axis] = each.size
        return each.reshape(shape)


@dataclass(slots=True)
class Match:
    """A tensor that may be a value of the reference.

    Attributes
    ----------
    tensor : str
    value : int
    votes : int
        How many ports say so.
    error : float
        How far they are apart, in whichever run they are nearer; infinite before they have been compared.
    seen_error : float
        How far they are apart in the run as it is.
    order : tuple of int or None
        The order of the value's axes in the tensor.
    same_shape : bool
    """

    tensor: str
    value: int
    votes: int
    error: float = float("inf")
    seen_error: float = float("inf")
    order: Order = None
    same_shape: bool = False


@dataclass(slots=True)
class Seen:
    """What was seen of a tensor: its type, its shape, and how many of its numbers are not finite."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    wild: int


@dataclass
class Pairing:
    """All tensors that may be values, and those that are taken for them.

    Attributes
    ----------
    matches : dict
        Tensor to the values that it may be, the likeliest first.
    chosen : dict
        Tensor to the match that is taken.
    seen : dict
        Tensor to what was seen of it.
    """

    recording: Recording
    borders: Borders
    metric: Metric
    scales: Mapping[str, Scale]
    matches: dict[str, list[Match]] = field(default_factory=dict)
    chosen: dict[str, Match] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        votes: dict[tuple[str, int], int] = defaultdict(int)
        for port in self.recording.ports:
            side = self.borders.exits if port.side == "out" else self.borders.entries
            for name in side.get(port.call, ()):
                own = port.side == "out" and self.borders.work[self.borders.makers[name]].last == port.call
                votes[name, port.value] += _BY_CALL if own else 1
        for name, value in self.recording.tensors.items():
            if name in self.borders.makers:
                votes[name, value] += _BY_NAME
        for name, value in self._absorbed(votes):
            votes.setdefault((name, value), 0)
        found: dict[str, list[Match]] = defaultdict(list)
        for (name, value), count in votes.items():
            found[name].append(Match(name, value, count))
        self.matches = {name: found[name] for name in sorted(found, key=self.borders.ranks.__getitem__)}
        for several in self.matches.values():
            several.sort(key=lambda match: -match.votes)

    def _absorbed(self, votes: Collection[tuple[str, int]]) -> list[tuple[str, int]]:
        """Tensors and what a call without nodes makes of their values: the node in front of it may do its work.

        A quantised convolution cuts off below zero by its range, so that no node is left of the Relu behind it.
        """
        sides: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"in": [], "out": []})
        for port in self.recording.ports:
            if port.call not in self.borders.exits:
                sides[port.call][port.side].append(port.value)
        made = [(before, after) for both in sides.values() for before in both["in"] for after in both["out"]]
        by_value: dict[int, list[str]] = defaultdict(list)
        for name, value in votes:
            by_value[value].append(name)
        return [(name, after) for before, after in made if before != after for name in by_value.get(before, ())]

    def channels(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """How many channels each tensor has whose channels lie in blocks, by the values that it may be.

        Parameters
        ----------
        shapes : mapping
            Tensor to its shape, the last block of channels filled up.
        """
        found: dict[str, int] = {}
        for name, shape in shapes.items():
            sizes = [self.recording.values[match.value].shape for match in self.matches[name]]
            fitting = [size[1] for size in sizes if len(size) == len(shape) == 4 and _fits_in(size, shape)]
            if fitting:
                found[name] = fitting[0]
        return found

    # --- what runs show ---

    def look(self, name: str, found: Values) -> None:
        """Compare a tensor of the run as it is with all values that it may be."""
        numbers = self._numbers(name, found)
        if numbers is None:
            self.matches.pop(name, None)
            return
        self.seen[name] = Seen(found.dtype, found.shape, int(np.count_nonzero(~np.isfinite(numbers))))
        kept = []
        for place, match in enumerate(self.matches.get(name, ())):
            wanted = self.recording.values[match.value]
            ways = orders(wanted.shape, found.shape)
            if not ways:
                continue
            match.same_shape = wanted.shape == found.shape
            errors = [(self._apart(wanted, way, numbers, full=place < _FULL), way) for way in ways]
            match.error, match.order = min(errors, key=lambda each: each[0])
            match.seen_error = match.error
            kept.append(match)
        if kept:
            self.matches[name] = kept
        else:
            self.matches.pop(name, None)

    def _apart(self, wanted: Values, way: Order, numbers: Values, *, full: bool) -> float:
        fitted = laid_out(wanted, way, numbers.shape)
        if not full:
            step = max(1, fitted.size // _SAMPLE)
            rough = distance(fitted.ravel()[::step], numbers.ravel()[::step])
            if rough > _NEAR:
                return rough
        return distance(fitted, numbers, self.metric)

    def local(self, name: str, found: Values, metric: Metric | None = None) -> tuple[float, bool]:
        """How far a tensor is from its value, and whether it is wild where the value is not."""
        match = self.chosen[name]
        wanted = laid_out(self.recording.values[match.value], match.order, found.shape)
        numbers = self._numbers(name, found)
        assert numbers is not None
        wild = bool(np.isfinite(wanted[~np.isfinite(numbers)]).any())
        return distance(wanted, numbers, metric or self.metric), wild and not _masks(wanted, numbers)

    def apart(self, name: str, one: Values, other: Values) -> float:
        """How far two values of a tensor are apart."""
        first, second = (self._numbers(name, each) for each in (one, other))
        assert first is not None
        assert second is not None
        return distance(first, second)

    def within_range(self, name: str, found: Values) -> float:
        """How far an integer tensor is from its value, rounded to and cut off by the range of these integers."""
        if name not in self.scales or found.dtype.kind not in "iu":
            return float("inf")
        scale = self.scales[name]
        wanted = self.given([name])[name]
        return distance(scale.numbers(wanted), scale.numbers(found), self.metric)

    def look_again(self, name: str, found: Values) -> None:
        """Compare a tensor, computed of the reference's values, with the values that it was not taken for."""
        numbers = self._numbers(name, found)
        for match in self.matches.get(name, ()):
            if numbers is not None and self.chosen.get(name) is not match:
                wanted = self.recording.values[match.value]
                ways = orders(wanted.shape, found.shape)
                errors = [(self._apart(wanted, way, numbers, full=False), way) for way in ways]
                if errors and (best := min(errors, key=lambda each: each[0]))[0] < match.error:
                    match.error, match.order = best

    def _numbers(self, name: str, found: Values) -> Values | None:
        """The numbers of a tensor; None if it holds none."""
        if found.dtype.kind in "iu" and name in self.scales:
            return self.scales[name].numbers(found)
        if found.dtype.kind == "f":
            return found
        # The types that numpy lacks.
        return found.astype(np.float32) if found.dtype.kind == "V" and found.dtype.name != "void" else None

    # --- choosing ---

    def choose(self, allowed: Callable[[str], float], barred: Collection[tuple[str, int]] = ()) -> None:
        """Take tensors for values: those that agree first, then by votes, shape and place.

        Parameters
        ----------
        allowed : callable
            How far a tensor may be off.
        barred : collection of (str, int)
            Tensors and values that are known not to be each other.
        """
        ranks = self.borders.ranks
        every = [m for several in self.matches.values() for m in several if (m.tensor, m.value) not in barred]

        def rank(match: Match) -> tuple[bool, int, bool, float, int]:
            agrees = match.error <= allowed(match.tensor)
            error = 0.0 if agrees else match.error
            return not agrees, -match.votes, not match.same_shape, error, -ranks[match.tensor]

        self.chosen = {}
        taken: dict[int, Match] = {}
        for match in sorted(every, key=rank):
            if match.tensor in self.chosen:
                continue
            # Several tensors may hold one value, as copies do; where none agrees, copies are off by the same.
            first = taken.setdefault(match.value, match)
            agrees = match.error <= allowed(match.tensor)
            if agrees or first is match or _off_alike(first, match):
                self.chosen[match.tensor] = match
        self.chosen = {name: self.chosen[name] for name in self.matches if name in self.chosen}

    def given(self, names: Collection[str]) -> dict[str, Values]:
        """The reference's values for tensors, as the file would have computed them."""
        found: dict[str, Values] = {}
        for name in names:
            match, seen = self.chosen[name], self.seen[name]
            wanted = laid_out(self.recording.values[match.value], match.order, seen.shape)
            if name in self.scales and seen.dtype.kind in "iu":
                found[name] = self.scales[name].integers(wanted, seen.dtype)
            elif wanted.dtype == seen.dtype:
                found[name] = np.ascontiguousarray(wanted)
            else:
                most = _most(seen.dtype)
                found[name] = np.ascontiguousarray(np.clip(wanted, -most, most).astype(seen.dtype))
        return found


def _off_alike(one: Match, other: Match) -> bool:
    """Whether two tensors are so nearly as far from one value that one is a copy of the other."""
    return abs(one.seen_error - other.seen_error) <= _ALIKE * one.seen_error


def _masks(wanted: Values, numbers: Values) -> bool:
    """Whether what is not finite stands for what is lowest or largest in the wanted tensor."""
    wild = ~np.isfinite(numbers)
    return bool((np.abs(wanted[wild]) >= LARGEST).all()) and not bool(np.isnan(numbers).any())


def _most(dtype: np.dtype[np.generic]) -> float:
    return float(np.finfo(dtype.name).max) if dtype in (np.float16, np.float32, np.float64) else 3.3e38


# The largest block of channels.
_BLOCK = 16


def _fits_in(size: tuple[int, ...], filled: tuple[int, ...]) -> bool:
    """Whether a tensor is of the shape of one whose channels are filled up to whole blocks."""
    return size[0] == filled[0] and size[2:] == filled[2:] and 0 <= filled[1] - size[1] < _BLOCK
