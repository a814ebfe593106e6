"""Where to cut a model so that its stages cost about the same, and few tensors go from one to the next.

Stages are stretches of the order in which nodes run. Of the places where the fewest tensors are alive the cuts are
chosen by which the costliest stage costs the least (the linear partitioning problem, solved by bisection of the cost);
places where more are alive are taken only if that brings a stage down by more than a tenth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.splitting.maingraph import MainGraph

# How much worse than the best the costliest stage may be for fewer tensors at the borders.
_TOLERANCE = 1.1

# Sets of places that are tried, by how many tensors are alive there.
_TRIED = 24

_STEPS = 60


def balanced_cuts(graph: MainGraph, costs: Sequence[float], stages: int) -> list[int]:
    """Positions at which stages begin, in the order of the nodes that are no constants.

    Parameters
    ----------
    graph : MainGraph
    costs : sequence of float
        Of each node of the main graph, not negative. What a constant costs counts for the first node that reads it.
    stages : int
        From 2 on.

    Raises
    ------
    TaggerError
        If there are fewer nodes than stages, or nothing costs anything.
    """
    live = [index for index in graph.order if index not in graph.constant]
    if len(live) < stages:
        raise TaggerError(
            f"the model has {len(live)} nodes that compute data, too few for {stages} stages; ask for fewer"
        )
    sums = list(accumulate(_own_costs(graph, live, costs), initial=0.0))
    if not sums[-1]:
        raise TaggerError("no node costs anything by this measure; balance by another one, see --by")
    alive = _alive(graph, live)
    best = _partitioned(sums, list(range(1, len(live))), stages)
    levels = sorted(set(alive[1:]))[:_TRIED]
    for level in levels:
        places = [place for place in range(1, len(live)) if alive[place] <= level]
        cuts = _partitioned(sums, places, stages)
        if cuts is not None and best is not None and _worst(sums, cuts) <= _TOLERANCE * _worst(sums, best):
            return cuts
    assert best is not None
    return best


def _own_costs(graph: MainGraph, live: Sequence[int], costs: Sequence[float]) -> list[float]:
    """The costs of nodes in their order, with those of constants at their first reader."""
    rank = {index: place for place, index in enumerate(live)}
    found = [costs[index] for index in live]
    first: dict[int, int] = {}
    for index in reversed(graph.order):  # readers before what they read
        place = rank.get(index, first.get(index))
        for maker in graph.makers(index):
            if maker in graph.constant and place is not None:
                first[maker] = min(place, first.get(maker, place))
    for maker, place in first.items():
        found[place] += costs[maker]
    return found


def _alive(graph: MainGraph, live: Sequence[int]) -> list[int]:
    """How many tensors that a node has made before a position are read from there on."""
    rank = {index: place for place, index in enumerate(live)}
    last: dict[str, int] = {}
    for index in live:
        for name in graph.reads[index]:
            if graph.producer.get(name) in rank:
                last[name] = max(last.get(name, 0), rank[index])
    change = [0] * (len(live) + 1)
    for name, end in last.items():
        begin = rank[graph.producer[name]]
        change[begin + 1] += 1
        change[end + 1] -= 1
    return list(accumulate(change))[: len(live)]


def _worst(sums: Sequence[float], cuts: Sequence[int]) -> float:
    begins = [0, *cuts, len(sums) - 1]
    return max(sums[b] - sums[a] for a, b in pairwise(begins))


def _partitioned(sums: Sequence[float], places: Sequence[int], stages: int) -> list[int] | None:
    """Cuts at some of the places by which the costliest stage costs the least; None if there are too few places."""
    if len(places) < stages - 1:
        return None
    low, high = sums[-1] / stages, sums[-1]
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _fits(sums, places, stages, middle) is None:
            low = middle
        else:
            high = middle
    return _fits(sums, places, stages, high)


def _fits(sums: Sequence[float], places: Sequence[int], stages: int, most: float) -> list[int] | None:
    """As few cuts as keep each stage below a cost, and as many more as there are to be; None if it cannot be."""
    cuts: list[int] = []
    begin, at = 0, 0
    while sums[-1] - sums[begin] > most * (1 + 1e-12):
        end = bisect_right(sums, sums[begin] + most * (1 + 1e-12)) - 1  # the last position within the cost
        found = bisect_right(places, end) - 1
        if found < at or len(cuts) == stages - 1:
            return None
        begin, at = places[found], found + 1
        cuts.append(begin)
    spare = [place for place in places if place not in set(cuts)]
    while len(cuts) < stages - 1:  # the rest halves what is left, or takes what costs nothing
        cuts.append(spare.pop())
    return sorted(cuts)
