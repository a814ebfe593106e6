"""When modules ran: what the order of first calls in a map says of the time of a node.

A node runs after everything that it reads and before everything that reads it. Of modules that are called once it is
known when they ran, so only the latest producer and the earliest consumer bound a node: whatever ran between them lies
in the innermost module that encloses both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from onnx_tagger.graph import Op
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.metadata import Tag
from onnx_tagger.passes.index import Flow

Span = tuple[float, float]


class CallTimes:
    """For each module the span of its execution, in order of first calls.

    Parameters
    ----------
    tree : HierarchyMap
    """

    def __init__(self, tree: HierarchyMap) -> None:
        last: dict[str, float] = {}
        for module in tree.modules:
            if module.order is not None:
                for path in tree.chain(module.path):
                    last[path] = max(last.get(path, module.order), module.order)
        unknown = {module.path for module in tree.modules if module.tag is not None and module.calls != 1}
        # What lies in a module that is called twice runs twice.
        self.spans: dict[str, Span] = {}
        for module in tree.modules:
            if unknown.isdisjoint(tree.chain(module.path)) and module.order is not None:
                self.spans[module.path] = (float(module.order), last[module.path])

    def span(self, module: str) -> Span:
        """First and last call in a module; without bounds if it is not known when it ran."""
        return self.spans.get(module, (-inf, inf))


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


def side_of(module: str, times: CallTimes, sign: int) -> Side:
    """The side that a tagged node is: behind it with `sign` 1 (a producer), before it with -1 (a consumer)."""
    first, last = times.span(module)
    if first == last:
        return Side(sign * first, nearest=module)
    return Side(-inf, vague=module, reach=last if sign > 0 else -first)


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


def sides(ops: Sequence[Op], tags: Mapping[Op, Tag], tree: HierarchyMap, flow: Flow, sign: int) -> list[Side | None]:
    """For each op what it is, or what bounds it on one side.

    Parameters
    ----------
    ops, tags, tree, flow
        Of the model.
    sign : int
        1 for what an op reads, -1 for what reads it.
    """
    times = CallTimes(tree)
    order = flow.order if sign > 0 else reversed(flow.order)
    neighbours = flow.graph.pred if sign > 0 else flow.graph.succ
    found: list[Side | None] = [None] * len(ops)
    for index in order:
        tag = tags.get(ops[index])
        if tag is not None:
            found[index] = side_of(tag.module, times, sign)
        else:
            # What reads the node that owns a body says nothing of the nodes in the body.
            owner = ops[index].scope.owner
            beside = (other for other in neighbours[index] if owner is None or other != owner.id)
            found[index] = merged_side((side for other in beside if (side := found[other]) is not None), tree)
    return found
