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
    rule : "sum", "max" or "rms"
    """
    # Untagged nodes take the position behind the last module.
    count = len(parents) + 1
    where = np.where(places < 0, count - 1, places)
    known = ~np.isnan(numbers)
    heard = np.bincount(where[known], minlength=count).tolist()
    nodes = np.bincount(where, minlength=count).tolist()
    return _RULES[rule](parents, where, numbers, known, shares, heard, nodes)


def _sums(where: Places, weights: Numbers, count: int) -> list[float]:
    # Of no numbers at all it makes integers.
    found: list[float] = np.bincount(where, weights=weights, minlength=count).astype(np.float64).tolist()
    return found


def _upwards(parents: Sequence[int], values: list[float]) -> list[float]:
    """Each value with those of all modules below; the untagged nodes are no module."""
    found = values[:-1]
    for place in range(len(parents) - 1, 0, -1):
        found[parents[place]] += found[place]
    return found


def _sum(
    parents: Sequence[int],
    where: Places,
    numbers: Numbers,
    known: npt.NDArray[np.bool_],
    shares: Numbers | None,
    heard: list[int],
    nodes: list[int],
) -> RolledUp:
    parts = numbers if shares is None else numbers * shares
    own = _sums(where[known], parts[known], len(nodes))
    total = _upwards(parents, own)
    heard_below, below = (_upwards(parents, list(map(float, counts))) for counts in (heard, nodes))
    gaps = sum(heard) < sum(nodes)
    return RolledUp(
        [None if gaps and n and not h else v for v, h, n in zip(own[:-1], heard, nodes, strict=False)],
        [None if gaps and n and not h else v for v, h, n in zip(total, heard_below, below, strict=True)],
        None if nodes[-1] and not heard[-1] else own[-1],
        None if sum(nodes) and not sum(heard) else total[0] + own[-1],
    )


def _max(
    parents: Sequence[int],
    where: Places,
    numbers: Numbers,
    known: npt.NDArray[np.bool_],
    shares: Numbers | None,
    heard: list[int],
    nodes: list[int],
) -> RolledUp:
    largest = np.full(len(nodes), -np.inf)
    np.maximum.at(largest, where[known], numbers[known])
    own = largest.tolist()
    total = own[:-1]
    for place in range(len(parents) - 1, 0, -1):
        total[parents[place]] = max(total[parents[place]], total[place])
    told = [None if value == -np.inf else value for value in own]
    return RolledUp(
        told[:-1],
        [None if value == -np.inf else value for value in total],
        told[-1],
        None if not sum(heard) else max(total[0], own[-1]),
    )


def _rms(
    parents: Sequence[int],
    where: Places,
    numbers: Numbers,
    known: npt.NDArray[np.bool_],
    shares: Numbers | None,
    heard: list[int],
    nodes: list[int],
) -> RolledUp:
    weights = np.ones(len(numbers)) if shares is None else shares
    squares = _sums(where[known], (numbers * numbers * weights)[known], len(nodes))
    counts = _sums(where[known], weights[known], len(nodes))
    total, below = _upwards(parents, squares), _upwards(parents, counts)
    return RolledUp(
        [_root(s, c) for s, c in zip(squares[:-1], counts, strict=False)],
        [_root(s, c) for s, c in zip(total, below, strict=True)],
        _root(squares[-1], counts[-1]),
        _root(total[0] + squares[-1], below[0] + counts[-1]),
    )


def _root(squares: float, count: float) -> Value:
    return sqrt(squares / count) if count else None


_RULES: dict[Rule, Callable[..., RolledUp]] = {"sum": _sum, "max": _max, "rms": _rms}
