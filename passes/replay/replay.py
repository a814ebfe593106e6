"""A file compared with the captured run: which operation of the run each node belongs to.

Nodes that read a weight, and nodes that are tagged already, are pinned to their only possible operation; those
between two pins are assigned to the operations between these (`sequence`). The order of nodes in the file stands for
the order of time; where it contradicts the run, the longest sequence of pins that does not is kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from onnx_tagger.hierarchy.map import HierarchyMap, Merge, Operation
from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.graph import MAIN, Op
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.analyses.dataflow import DataFlow, TensorKey
from onnx_tagger.passes.analyses.sizes import OnlySizes
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.replay.consistency import by_dataflow, unattached
from onnx_tagger.passes.replay.dependence import Dependence, known_before
from onnx_tagger.passes.replay.operators import LINEAR, MOVES, writes
from onnx_tagger.passes.replay.recurrent import LAYER, RECURRENT, first_of_calls, layers
from onnx_tagger.passes.replay.run import CapturedRun
from onnx_tagger.passes.replay.sequence import MOST_PAIRS, NodeLetter, OperationLetter, assigned

_Places = tuple[int, ...]

# A run that has one of these has been quantised before it was exported.
_QUANTISED = frozenset({"DequantizeLinear", "QuantizeLinear"})

# Constants, and what quantisers and blocked layouts insert: it is of what it converts.
_INSERTED = frozenset(
    {"Constant", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput"}
)


@dataclass(frozen=True)
class Said:
    """What the captured run says of nodes.

    Attributes
    ----------
    tags : dict
        Of the nodes whose module is known.
    bounds : dict
        Of the nodes that may be part of operations of several modules, the module that encloses those.
    choices : dict
        Of the same nodes, these modules.
    strays : dict
        Of the nodes that do no operation of the run, the module that encloses those before and after them.
    """

    tags: dict[Op, Tag]
    bounds: dict[Op, str]
    choices: dict[Op, frozenset[str]]
    strays: dict[Op, str]


class Replay:
    """Pins the nodes of a file's main graph to the operations of the run, and assigns those between.

    Parameters
    ----------
    ctx : Context
        With the tags that are known; its map holds a run.
    weights : mapping
        Stored tensor to the parameters that it may be, from `StoredWeights`.

    Attributes
    ----------
    pins : dict
        Op to the position in the trace of the one operation that it can be part of.
    """

    def __init__(self, ctx: Context, weights: Mapping[str, frozenset[str]]) -> None:
        self.ops, self.flow, self.run = ctx.ops, ctx.get(DataFlow), ctx.get(CapturedRun)
        self.solved: dict[object, tuple[_Places, ...]] = {}
        self.whose: dict[TensorKey, frozenset[str]] = {(0, name): names for name, names in weights.items()}
        # No operation of the run stands for what prepares weights, makes constants, converts and works out sizes.
        self.sizes = ctx.get(OnlySizes)
        out, inserted = self._preparing(), _INSERTED
        if any(not writes(operator).isdisjoint(_QUANTISED) for operator in self.run.operators):
            inserted -= _QUANTISED
        self.items = [
            op
            for op in self.ops
            if op.scope.name == MAIN and op not in out and not self.sizes[op.id] and op.node.op_type not in inserted
        ]
        self.possible = {op: self.run.possible(op.node.op_type, ctx.tags.get(op), self._read(op)) for op in self.items}
        recurrent = {op: places for op, places in self.possible.items() if op.node.op_type in RECURRENT}
        self.layers, self.steps = layers(self.run.trace, (places or () for places in recurrent.values()))
        for op, places in recurrent.items():
            self.possible[op] = first_of_calls(self.run.trace, places) if places else None
        certain = {op: places[0] for op, places in self.possible.items() if places is not None and len(places) == 1}
        self.pins = _in_order(self.items, self._by_weights() | certain)
        self.done: dict[int, tuple[str, ...]] = {}
        for op, place in self.pins.items():
            self.done[place] = (*self.done.get(place, ()), op.node.op_type)

    def _preparing(self) -> set[Op]:
        """The nodes that only prepare weights, whose results are those weights, too."""
        found: set[Op] = set()
        for index in self.flow.order if self.whose else ():
            keys = self.flow.inputs[index]
            claims = [self.whose[key] for key in keys if key in self.whose]
            moved = self.ops[index].node.op_type in MOVES
            if claims and moved and all(key in self.whose or key in self.flow.stored for key in keys):
                found.add(self.ops[index])
                place, names = self.flow.place[index], frozenset.union(*claims)
                self.whose.update({(place, name): names for name in self.ops[index].node.output if name})
        return found

    def _read(self, op: Op) -> list[frozenset[str]]:
        """For each stored tensor that a node reads the parameters that it may be."""
        return [self.whose[key] for key in self.flow.inputs[op.id] if key in self.whose]

    def _by_weights(self) -> dict[Op, int]:
        """The first reader of a weight does the first operation that reads it, and so on, if there are as many."""
        readers: dict[frozenset[str], dict[str, list[Op]]] = defaultdict(lambda: defaultdict(list))
        for op in self.items:
            for names in self._read(op):
                readers[names][op.node.op_type].append(op)
        found: dict[Op, int] = {}
        for names, by_operator in readers.items():
            for operator, ops in by_operator.items():
                fitting: Sequence[int] = [place for place in self.run.reading(names) if self.run.fits(place, operator)]
                if operator in RECURRENT:
                    fitting = [place for place in self.possible[ops[0]] or () if place in self.layers]
                if len(ops) == len(fitting):
                    found.update(zip(ops, fitting, strict=True))
        return found

    def places(self) -> dict[Op, _Places]:
        """For each node of which something is known the operations that it may be part of."""
        # A weight tells whose its reader is, also of one that the order of nodes has in another place.
        known = {op: found for op, found in self.possible.items() if found is not None}
        found = known | {op: (place,) for op, place in self.pins.items()} | self._consistent(self.assigned())
        found = by_dataflow(self.items, self.flow, self.run.trace, self.run.numbers, found)
        for op in unattached(self.items, self.flow, self.run.trace, found) - self.pins.keys():
            if self.possible[op] is None:
                del found[op]
        return found

    def _consistent(self, assigned: Mapping[Op, _Places]) -> dict[Op, _Places]:
        """Of the operations that nodes may be part of those that depend on what the nodes read."""
        known = {op.id: place for op, place in self.pins.items()}
        before = known_before(self.flow, known, self.sizes) if assigned else {}
        run = Dependence(self.run.trace, self.run.numbers)
        found: dict[Op, _Places] = {}
        for op, places in assigned.items():
            read = before.get(op.id)
            fitting = tuple(place for place in places if read is None or not run.contradicts(place, read))
            if fitting:
                found[op] = fitting
        return found

    def rests_on(self, op: Op) -> Evidence:
        """What the place of a node in the run rests on: a weight that it reads, or those around it."""
        return Evidence.WEIGHT if op in self.pins and self._read(op) else Evidence.RUN

    def tags(self, tree: HierarchyMap, source: Source, merge: Merge) -> Said:
        """What the run says of the nodes."""
        places = self.places()
        folded = self.folded(places)
        tags: dict[Op, Tag] = {}
        choices: dict[Op, frozenset[str]] = {}
        for op, ways in places.items():
            done = [self.run.trace[place] for place in folded.get(op, ways)]
            modules, calls = {operation.module for operation in done}, {operation.call for operation in done}
            if op in folded:
                # Of several equal calls that were made one, which one it was is not known.
                known = len(ways) == 1
                each = [tree.tag(step.module, source, call=step.call if known else ()) for step in done]
                tags[op] = tree.merged(each, merge, source)
            elif len(modules) > 1:
                choices[op] = frozenset(modules)
            else:
                tags[op] = tree.tag(modules.pop(), source, call=calls.pop() if len(calls) == 1 else ())
        bounds = {op: tree.enclosing(modules) for op, modules in choices.items()}
        return Said(tags, bounds, choices, self._strays(tree, places))

    def _strays(self, tree: HierarchyMap, places: Mapping[Op, _Places]) -> dict[Op, str]:
        """For each node that does no operation of the run what encloses the ones before and after it in the file."""
        around: dict[Op, list[str]] = {op: [] for op in self.items if op not in places}
        for items in (self.items, self.items[::-1]):
            nearest: _Places = ()
            for op in items:
                if op in places:
                    nearest = places[op]
                elif nearest:
                    # Of a neighbour that may be at several places, any of these may be next to this one.
                    around[op].append(tree.enclosing({self.run.trace[place].module for place in nearest}))
        both = {op: tree.enclosing(modules) for op, modules in around.items() if len(modules) == 2}
        # With nothing before or behind it, it may be of the module around that one just as well.
        return both | {op: tree.chain(modules[0])[-2:][0] for op, modules in around.items() if len(modules) == 1}

    def assigned(self) -> dict[Op, _Places]:
        """The nodes between the pinned ones, each with the operations that it may be part of."""
        found: dict[Op, _Places] = {}
        for window, first, last in self._windows(self.items, self.pins, 0, len(self.run.trace) - 1):
            if len(window) * (last - first + 1) <= MOST_PAIRS:
                found.update(self._assign(window, first, last))
                continue
            more = _in_order(window, self._by_kind(window, first, last))
            found.update({op: (place,) for op, place in more.items()})
            for part, start, end in self._windows(window, more, first, last):
                if len(part) * (end - start + 1) <= MOST_PAIRS:
                    found.update(self._assign(part, start, end))
        return found

    def _assign(self, window: Sequence[Op], first: int, last: int) -> dict[Op, _Places]:
        """Assign the nodes of a window to its operations."""
        # Whatever only looks at a weight in another way has been done beforehand, or is among what prepares weights.
        kept = [
            place for place in range(first, last + 1) if place not in self.steps and not self._looks_at_weight(place)
        ]
        number = {place: position for position, place in enumerate(kept)}
        nodes = tuple(NodeLetter(op.node.op_type, self._within(op, first, last, number)) for op in window)
        operations = tuple(self._letter(place) for place in kept)
        # Blocks repeat, and so do their windows.
        if (nodes, operations) not in self.solved:
            self.solved[nodes, operations] = assigned(nodes, operations)
        pairs = zip(window, self.solved[nodes, operations], strict=True)
        return {op: tuple(kept[position] for position in positions) for op, positions in pairs if positions}

    def _looks_at_weight(self, place: int) -> bool:
        step = self.run.trace[place]
        return step.view and bool(step.weights) and not step.reads

    def _by_kind(self, window: Sequence[Op], first: int, last: int) -> dict[Op, int]:
        """The first node of an operator does the first operation that is written so, if there are as many of each."""
        nodes: dict[str, list[Op]] = defaultdict(list)
        for op in window:
            if op.node.op_type not in MOVES:
                nodes[op.node.op_type].append(op)
        places: dict[str, list[int]] = defaultdict(list)
        for place in range(first, last + 1):
            for operator in writes(self.run.trace[place].operator):
                places[operator].append(place)
        pairs = ((ops, places[operator]) for operator, ops in nodes.items())
        return {
            op: place for ops, found in pairs if len(ops) == len(found) for op, place in zip(ops, found, strict=True)
        }

    @staticmethod
    def _windows(
        items: Iterable[Op], pins: Mapping[Op, int], first: int, last: int
    ) -> Iterator[tuple[list[Op], int, int]]:
        """The nodes between two pinned ones with the first and the last operation that may be theirs."""
        window: list[Op] = []
        for op in items:
            if op not in pins:
                window.append(op)
                continue
            if window:
                yield window, first, pins[op]
            window, first = [], pins[op]
        if window and first <= last:
            yield window, first, last

    def folded(self, places: Mapping[Op, _Places]) -> dict[Op, list[int]]:
        """The nodes that do, besides their own, the work of neighbouring operations that no node does.

        Exporters fold a normalisation into the weights of the convolution before it; optimisers fuse what comes before
        or behind into operators of their own. The operation whose output survives comes last.

        Parameters
        ----------
        places : mapping
            All nodes that are placed, with the operations that each may be part of.
        """
        numbers = self.run.numbers
        sure = {op: found[0] for op, found in places.items() if len({numbers[place] for place in found}) == 1}
        done = {place for op in sure for place in places[op]}
        trace, readers = self.run.trace, self._readers()
        folded: dict[Op, list[int]] = {}
        # What several nodes lead to is the last one's: the others' results were there before.
        for op in reversed([op for op in self.items if op in sure]):
            place = sure[op]
            fused = op.node.domain not in ("", "ai.onnx")
            steps = [place]
            if fused and op.node.op_type not in LINEAR:
                steps[:0] = [
                    before
                    for before in trace[place].reads
                    if before not in done and readers[before] == [place] and not self._has_own_nodes(trace[before])
                ]
            behind = readers[place]
            while (fused or op.node.op_type in LINEAR) and len(behind) == 1 and behind[0] not in done:
                if not (trace[behind[0]].weights or fused):
                    break
                steps.append(behind[0])
                behind = readers[behind[0]]
            if len(steps) > 1:
                folded[op] = steps
                done.update(steps)
        return folded

    @staticmethod
    def _has_own_nodes(step: Operation) -> bool:
        """Whether nothing that is fused does an operation's work: it reads a weight, or only moves values."""
        return bool(step.weights) or MOVES.issuperset(writes(step.operator) or {""})

    def _readers(self) -> dict[int, list[int]]:
        """For each operation those that read its result, views left out."""
        found: dict[int, list[int]] = defaultdict(list)
        for place, operation in enumerate(self.run.trace):
            if not operation.view:
                for before in operation.reads:
                    found[before].append(place)
        return found

    def _letter(self, place: int) -> OperationLetter:
        operation = self.run.trace[place]
        if place in self.layers:
            return OperationLetter(LAYER, False, self.done.get(place, ()))
        # Of operations that are equal, exporters make one.
        optional = operation.view or place in self.run.repeats or MOVES.issuperset(writes(operation.operator) or {""})
        return OperationLetter(operation.operator, optional, self.done.get(place, ()))

    def _within(self, op: Op, first: int, last: int, number: Mapping[int, int]) -> frozenset[int] | None:
        """The operations of a window that a node may be part of, by their positions there."""
        places = self.possible[op]
        if places is None:
            return None
        near = places[bisect_left(places, first) : bisect_right(places, last)]
        return frozenset(number[place] for place in near if place in number)


def place_by_run(ctx: Context, tree: HierarchyMap, weights: Mapping[str, frozenset[str]], merge: Merge) -> None:
    """Tag the nodes of which the captured run of a map says whose work they do.

    Parameters
    ----------
    ctx, tree
        The model and its map.
    weights : mapping
        From `StoredWeights`.
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of two operations.
    """
    replay = Replay(ctx, weights)
    said = replay.tags(tree, Source.ALIGNED, merge)
    for op, tag in said.tags.items():
        known = ctx.tags.get(op)
        if known is None:
            ctx.tags[op], ctx.evidence[op] = tag, replay.rests_on(op)
        elif known.module in tag.modules and not known.origins:
            merged = tree.tag(tag.module, max(known.source, tag.source), tag.origins, tag.call)
            ctx.tags[op] = merged if tag.origins else replace(known, call=tag.call)


def _in_order(items: Sequence[Op], pins: Mapping[Op, int]) -> dict[Op, int]:
    """The longest part of the pins that follows the order of time.

    By patience sorting: Fredman, "On computing the length of longest increasing subsequences", 1975.
    """
    pinned = [op for op in items if op in pins]
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, op in enumerate(pinned):
        pile = bisect_right(tails, pins[op])
        previous.append(ends[pile - 1] if pile else -1)
        tails[pile : pile + 1] = [pins[op]]
        ends[pile : pile + 1] = [index]
    kept: dict[Op, int] = {}
    index = ends[-1] if ends else -1
    while index >= 0:
        kept[pinned[index]] = pins[pinned[index]]
        index = previous[index]
    return kept
