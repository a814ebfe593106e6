"""Adding up: numbers of nodes to numbers of modules, own and with all below, by the rule of each column.

Linear in nodes and modules. A module that has nodes but no number on any of them has none itself; a sum over no nodes
is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from onnx_tagger.measures.measure import Numbers, Rule
from onnx_tagger.model.texts import brief_fields

Places = npt.NDArray[np.int64]
Value = float | None


@dataclass(frozen=True, slots=True)
class RolledUp:
    """A column by module.

    Attributes
    ----------
    own, total : list of (float or None)
        For each module: of its own nodes, and with all below.
    untagged, whole : float or None
        Of the nodes without a tag, and of all.
    """

    own: list[Value]
    total: list[Value]
    untagged: Value
    whole: Value

    __repr__ = brief_fields


def roll_up(parents: Sequence[int], places: Places, numbers: Numbers, shares: Numbers | None, rule: Rule) -> RolledUp:
    """Add numbers up over a tree.

    Parameters
    ----------
    parents : sequence of int
        For each module the position of the one around it, which comes earlier; -1 for the root, at position 0.
    places : array of int64
        For each number the position of its module; -1 for none.
    numbers : array of float64
        NaN for none.
    shares : array of float64, optional
        Which part of a node each number is of; all of it if left out.
    rule : "sum", "max", "rms" or "none"
        With ``none`` no module has a number; whoever knows better puts it there.
    """
    return _RULES[rule](_Given(parents, places, numbers, shares))


class _Given:
    """Numbers that are known, with the modules that they are of; untagged nodes take the position behind the last."""

    def __init__(self, parents: Sequence[int], places: Places, numbers: Numbers, shares: Numbers | None) -> None:
        self.parents = parents
        self.count = len(parents) + 1
        self.all = np.where(places < 0, self.count - 1, places)
        known = ~np.isnan(numbers)
        self.complete = bool(known.all())
        self.where = self.all if self.complete else self.all[known]
        self.numbers = numbers if self.complete else numbers[known]
        self.shares = shares if shares is None or self.complete else shares[known]

    def sums(self, where: Places, weights: Numbers | None = None) -> list[float]:
        """The sum of some weights, or the number of places, for each module and the untagged nodes."""
        # Of no numbers at all, and without weights, numpy makes integers.
        found: list[float] = np.bincount(where, weights, self.count).astype(np.float64).tolist()
        return found

    def upwards(self, values: list[float]) -> list[float]:
        """The values of the modules, each with those of all below, and the whole behind them."""
        found = values[:-1]
        for place in range(len(self.parents) - 1, 0, -1):
            found[self.parents[place]] += found[place]
        return [*found, found[0] + values[-1]]

    def gaps(self) -> tuple[list[bool], list[bool]]:
        """For each module whether it has nodes but no number, by itself and with all below."""
        heard, nodes = self.sums(self.where), self.sums(self.all)
        pairs = ((heard, nodes), (self.upwards(heard), self.upwards(nodes)))
        own, total = ([n > 0 and not h for h, n in zip(*pair, strict=True)] for pair in pairs)
        return own, total


def _sum(given: _Given) -> RolledUp:
    own = given.sums(given.where, given.numbers if given.shares is None else given.numbers * given.shares)
    total = given.upwards(own)
    if given.complete:
        return _rolled_up(own, total)
    return _rolled_up(*(_without(v, gaps) for v, gaps in zip((own, total), given.gaps(), strict=True)))


def _without(values: Sequence[float], gaps: Sequence[bool]) -> list[Value]:
    return [None if gap else value for value, gap in zip(values, gaps, strict=True)]


def _max(given: _Given) -> RolledUp:
    largest = np.full(given.count, -np.inf)
    np.maximum.at(largest, given.where, given.numbers)
    own: list[float] = largest.tolist()
    total = own[:-1]
    for place in range(len(given.parents) - 1, 0, -1):
        total[given.parents[place]] = max(total[given.parents[place]], total[place])
    total.append(max(total[0], own[-1]))
    # Every number is larger than what stands for none, but minus infinity itself, of which none is said either.
    return _rolled_up(*([None if value == -np.inf else value for value in values] for values in (own, total)))


def _rms(given: _Given) -> RolledUp:
    weights = np.ones(len(given.numbers)) if given.shares is None else given.shares
    squares, counts = (given.sums(given.where, w) for w in (given.numbers * given.numbers * weights, weights))
    pairs = ((squares, counts), (given.upwards(squares), given.upwards(counts)))
    return _rolled_up(*([sqrt(s / c) if c else None for s, c in zip(*pair, strict=True)] for pair in pairs))


def _none(given: _Given) -> RolledUp:
    return _rolled_up([None] * given.count, [None] * (given.count + 1))


def _rolled_up(own: Sequence[Value], total: Sequence[Value]) -> RolledUp:
    """Both with one more number than there are modules: of the untagged nodes, and of the whole."""
    return RolledUp(list(own[:-1]), list(total[:-1]), own[-1], total[-1])


_RULES: dict[Rule, Callable[[_Given], RolledUp]] = {"sum": _sum, "max": _max, "rms": _rms, "none": _none}
