"""When modules ran: what a map's order of calls and runs of operations say of the time of a node.

A node runs after everything that it reads and before everything that reads it. Of modules that are called once it is
known when they ran, so only the latest producer and the earliest consumer bound a node: whatever ran between them lies
in the innermost module that encloses both, and often just one module did any work there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from onnx_tagger.graph import Op
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.metadata import Tag
from onnx_tagger.passes.index import Flow

Span = tuple[float, float]

# A longer span of runs says nothing that its ends do not, and looking at it would not be linear.
_WIDEST = 64


class CallTimes:
    """For each module the span of its execution: in runs of operations if the map tells them, else in first calls.

    Parameters
    ----------
    tree : HierarchyMap or None
        None for no times at all.
    """

    def __init__(self, tree: HierarchyMap | None) -> None:
        self.spans: dict[str, Span] = {}
        if tree is None:
            return
        if tree.work:
            for time, run in enumerate(tree.work):
                first, _ = self.spans.get(run.module, (float(time), 0.0))
                self.spans[run.module] = (first, float(time))
        else:
            self._by_order(tree)

    def _by_order(self, tree: HierarchyMap) -> None:
        last: dict[str, float] = {}
        for module in tree.modules:
            if module.order is not None:
                for path in tree.chain(module.path):
                    last[path] = max(last.get(path, module.order), module.order)
        unknown = {module.path for module in tree.modules if module.tag is not None and module.calls != 1}
        for module in tree.modules:
            # What lies in a module that is called twice runs twice.
            if unknown.isdisjoint(tree.chain(module.path)) and module.order is not None:
                self.spans[module.path] = (float(module.order), last[module.path])

    def span(self, module: str) -> Span:
        """First and last time of a module; without bounds if it is not known when it ran."""
        return self.spans.get(module, (-inf, inf))


class Window:
    """Which modules may have done a node's work, given when it ran.

    Parameters
    ----------
    tree : HierarchyMap
    tagged : mapping
        Module to number of nodes that are tagged with it before anything is inferred: a module all of whose operations
        have their nodes has none to give.
    """

    def __init__(self, tree: HierarchyMap, tagged: Mapping[str, int]) -> None:
        self.runs = tree.work
        operations: Counter[str] = Counter()
        for run in tree.work:
            operations[run.module] += run.operations
        self.settled = {path for path, count in tagged.items() if count >= operations[path]}
        self.found: dict[tuple[float, float, bool], str | None] = {}
        self.tree = tree

    def module(self, start: float, end: float, *, view: bool) -> str | None:
        """The innermost module that encloses all that may have run in a span; None if nothing is known of it.

        Parameters
        ----------
        start, end : float
            Times of the nearest nodes before and after; infinite where there is none.
        view : bool
            Whether the node only moves values, as a reshape does.
        """
        key = (start, end, view)
        if key not in self.found:
            self.found[key] = self._look(start, end, view)
        return self.found[key]

    def _look(self, start: float, end: float, view: bool) -> str | None:
        first, last = max(0, int(max(start, 0))), int(min(end, len(self.runs) - 1))
        if not self.runs or last - first > _WIDEST:
            return None
        possible: set[str] = set()
        for time in range(first, last + 1):
            run = self.runs[time]
            done = run.operations + run.views if view else run.operations
            # The run of a neighbour has room for another operation only if it did more than the neighbour's.
            room = 1 if time in (start, end) else 0
            if done > room and (view or run.module not in self.settled):
                possible.add(run.module)
        return self.tree.enclosing(possible) if possible else None


@dataclass(frozen=True, slots=True)
class Side:
    """What bounds a node on one side: the module of the nearest tagged node in time, and those that may be nearer.

    Attributes
    ----------
    time : float
        When the nearest node whose time is known ran; infinite if there is none.
    nearest : str or None
        Its module.
    vague : str or None
        What encloses the tagged nodes that may be nearer, since their modules run others in between.
    reach : float
        How near those may be.
    """

    time: float
    nearest: str | None = None
    vague: str | None = None
    reach: float = inf

    @property
    def modules(self) -> list[str]:
        """The modules that bound the node."""
        return [path for path in (self.nearest, self.vague) if path is not None]


def side_of(tag: Tag, times: CallTimes, sign: int) -> Side:
    """The side that a tagged node is: behind it with `sign` 1 (a producer), before it with -1 (a consumer).

    A node that does the work of several modules is as late as the last of them, or as early as the first.
    """
    spans = [(times.span(path), path) for path in tag.modules]
    (first, last), module = max(spans) if sign > 0 else min(spans)
    if first == last:
        return Side(sign * first, nearest=module)
    return Side(-inf, vague=tag.module, reach=last if sign > 0 else -first)


def merged_side(sides: Iterable[Side], tree: HierarchyMap) -> Side | None:
    """The nearest of several sides; times count towards the node, so that the largest is the nearest."""
    found = list(sides)
    if not found:
        return None
    best = max(found, key=lambda side: side.time)
    nearer = [side for side in found if side.vague is not None and side.reach >= best.time]
    same = {side.nearest for side in found if side.time == best.time and side.nearest is not None}
    vague = {side.vague for side in nearer if side.vague is not None}
    return Side(
        best.time,
        tree.enclosing(same) if same else None,
        tree.enclosing(vague) if vague else None,
        max((side.reach for side in nearer), default=inf),
    )


def sides(
    ops: Sequence[Op], tags: Mapping[Op, Tag], tree: HierarchyMap, flow: Flow, sign: int, *, timed: bool = True
) -> list[Side | None]:
    """For each op what it is, or what bounds it on one side.

    Parameters
    ----------
    ops, tags, tree, flow
        Of the model.
    sign : int
        1 for what an op reads, -1 for what reads it.
    timed : bool
        Whether the map's times are looked at; without them all neighbours count.
    """
    times = CallTimes(tree if timed else None)
    order = flow.order if sign > 0 else reversed(flow.order)
    neighbours = flow.graph.pred if sign > 0 else flow.graph.succ
    found: list[Side | None] = [None] * len(ops)
    for index in order:
        tag = tags.get(ops[index])
        if tag is not None:
            found[index] = side_of(tag, times, sign)
        else:
            # What reads the node that owns a body says nothing of the nodes in the body.
            owner = ops[index].scope.owner
            beside = (other for other in neighbours[index] if owner is None or other != owner.id)
            found[index] = merged_side((side for other in beside if (side := found[other]) is not None), tree)
    return found
