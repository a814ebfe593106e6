"""Of several operations that a node may be, those that read what the node reads and are read by what reads it.

The order of nodes leaves open, say, which of two additions in a row a node is; the results that operations read say
more. They are used where order and operators have left several, and never to overrule these.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.model.graph import Op
from onnx_tagger.passes.analyses.dataflow import Flow
from onnx_tagger.passes.replay.operators import MOVES, writes

Places = tuple[int, ...]

# What only moves or converts is made by exporters, too, where the run has no operation: what it reads does not say
# whose it is.
_SILENT = MOVES | {"Cast"}

# How often what is known is handed on in both directions.
_ROUNDS = 2


def numbered(trace: Sequence[Operation]) -> list[int]:
    """For each operation a number, the same for those of which exporters make one: value numbering.

    These are of one module, at the same place in two calls of it, and read the same results and weights. What else an
    operation is given, a run does not tell, so that two of one call are never taken for equal.

    Examples
    --------
    >>> relu = Operation("act", "relu", call=("act@0",), reads=())
    >>> numbered([relu, relu._replace(call=("act@1",)), relu._replace(call=("act@1",))])
    [0, 0, 1]
    """
    numbers: list[int] = []
    seen: dict[object, int] = {}
    count = Counter[object]()
    for step in trace:
        call = (step.module, step.call)
        read = tuple(numbers[place] for place in step.reads)
        key = (step.module, count[call], step.operator, step.view, step.weights, read)
        count[call] += 1
        numbers.append(seen.setdefault(key, len(seen)))
    return numbers


def by_dataflow(
    items: Sequence[Op], flow: Flow, trace: Sequence[Operation], numbers: Sequence[int], places: Mapping[Op, Places]
) -> dict[Op, Places]:
    """The operations that nodes may be part of, without those that contradict the nodes before and behind.

    Parameters
    ----------
    items : sequence of Op
        Nodes in the order of the file.
    flow : Flow
    trace : sequence of Operation
    numbers : sequence of int
        From `numbered`.
    places : mapping
        For each node of which something is known the operations that it may be part of.

    Returns
    -------
    dict
        For each of these at least one. A node keeps all where none agrees with its neighbours, since a run does not
        tell the parts of a result that is changed in place.
    """
    reads: dict[int, set[int]] = defaultdict(set)
    for place, step in enumerate(trace):
        reads[numbers[place]].update(numbers[before] for before in step.reads)
    found = dict(places)
    for _ in range(_ROUNDS):
        if all(len(each) == 1 for each in found.values()):
            break
        sides = [
            _narrowed(items, found, numbers, flow.graph.pred, lambda place, other: other in reads[place]),
            _narrowed(items[::-1], found, numbers, flow.graph.succ, lambda place, other: place in reads[other]),
        ]
        # What comes before agrees with one, what comes behind with another: two that a tool made one of.
        found = {op: tuple(p for p in sides[0][op] if p in sides[1][op]) or found[op] for op in found}
    return found


def _narrowed(
    items: Iterable[Op],
    places: Mapping[Op, Places],
    numbers: Sequence[int],
    beside: Mapping[int, Iterable[int]],
    agree: Callable[[int, int], bool],
) -> dict[Op, Places]:
    """Hold each node to its neighbours on one side, which come before it in `items`; moves hand on what is known."""
    found = dict(places)
    known: dict[int, set[int]] = {}
    for op in items:
        # For each neighbour that does one operation for sure, or hands on the result of one, its number.
        near = {number for other in beside[op.id] for number in known.get(other, ())}
        choices = found.get(op, ())
        if len(choices) > 1 and near and op.node.op_type not in _SILENT:
            agreed = tuple(
                place
                for place in choices
                if all(numbers[place] == other or agree(numbers[place], other) for other in near)
            )
            if agreed:
                found[op] = choices = agreed
        if op.node.op_type in MOVES:
            known[op.id] = near
        elif len(alike := {numbers[place] for place in choices}) == 1:
            known[op.id] = alike
    return found


def unattached(items: Sequence[Op], flow: Flow, trace: Sequence[Operation], places: Mapping[Op, Places]) -> set[Op]:
    """The moves that stand in a row with an operation's nodes without moving anything for it.

    A move is part of an operation that computes only if it hands that operation's input or result on, by itself or
    along with other moves.
    """
    moves = [op for op in items if op.node.op_type in MOVES and len(places.get(op, ())) == 1]
    attached: set[Op] = set()
    for order, beside in ((items, flow.graph.pred), (items[::-1], flow.graph.succ)):
        reached: dict[int, frozenset[int]] = {}
        for op in order:
            near = frozenset[int]().union(*(reached.get(other, ()) for other in beside[op.id]))
            own = places.get(op, ())
            if op.node.op_type in MOVES:
                reached[op.id] = near
                attached.update({op} if not near.isdisjoint(own) else ())
            else:
                reached[op.id] = frozenset(own)
    return {op for op in moves if op not in attached and not _moves(trace[places[op][0]])}


def _moves(step: Operation) -> bool:
    return step.view or MOVES.issuperset(writes(step.operator))
