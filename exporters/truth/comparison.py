"""An ONNX file beside an eager run: whose work does each node do?

Values that agree tie a node to the operations that made them; from there the walk goes back through their inputs up to
values that exist in the file, since what lies between is this node's work, too. A false tie is worse than none: what is
not distinctive is not judged, and there is a reason for each node that is not.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from onnx_tagger.exporters.truth.alike import Alike, Numbers, distance, in_order, in_order_of_size, unpadded
from onnx_tagger.exporters.truth.observed import Observation, Values
from onnx_tagger.exporters.truth.stands_for import ARITHMETIC, PRODUCTS, TAKING, same_operator
from onnx_tagger.exporters.truth.verdicts import CONSTANT, PASSES, SHAPE, VIEW, Candidate
from onnx_tagger.model.graph import MAIN, Op, bodies, walk

# Fewer distinct values than this say little about who computed them: masks, zeros, ones.
_DISTINCT = 4

BODY = "in a body or function"
_HIDDEN = "no tensor that can be shown"
_ALIKE = "a single value, or all of them equal"
_WEAK = "few distinct values or integers, and no operation of its kind makes them in one module alone"
_NOBODY = "no ATen operation makes this value"

# Of a node of several outputs that several operations may have made each, no more combinations are looked at.
_MOST_ANSWERS = 64

# Onnxruntime's operators on tensors whose channels lie in blocks, and the largest block.
_BLOCKED = "com.microsoft.nchwc"
_BLOCK = 16

# The file's own inputs and initializers stand for a node of this number.
_GIVEN = -1

# The distance between tensors of different values.
_NEVER = float("inf")


@dataclass(frozen=True)
class Truth:
    """Whose work a node does, or why that cannot be known."""

    reason: str = ""
    candidates: tuple[Candidate, ...] = ()
    inner: bool = False


@dataclass
class Comparison:
    """A file beside the observations.

    Parameters
    ----------
    model : onnx.ModelProto
        With its weights.
    observations : sequence of Observation
    feeds : mapping
        Input name to value.
    made : mapping
        Name of each tensor of the main graph to its value.

    Attributes
    ----------
    ops : list of Op
        All nodes of the file.
    truths : dict
        Whose work each node does, by its id.
    auxiliary : dict
        Which nodes are constants or shape arithmetic, no data reaching them, and which of the two.
    made_in : dict
        The modules in which the run made the very value of an auxiliary node.
    read_by : dict
        The modules of each reader of an auxiliary node of which they are known, through others of that kind.
    """

    model: onnx.ModelProto
    observations: Sequence[Observation]
    feeds: Mapping[str, Values]
    made: Mapping[str, Values]
    ops: list[Op] = field(init=False)
    auxiliary: dict[int, str] = field(init=False)
    truths: dict[int, Truth] = field(init=False, default_factory=dict)
    made_in: dict[int, frozenset[str]] = field(init=False, default_factory=dict)
    read_by: dict[int, frozenset[frozenset[str]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.ops = walk(self.model).ops
        self.main = [op for op in self.ops if op.scope.name == MAIN]
        self.alike = Alike(observation.values for observation in self.observations)
        self.values = _all_values(self.model, self.feeds, self.made)
        self.numbers: dict[str, Numbers] = {name: in_order_of_size(value) for name, value in self.values.items()}
        self.auxiliary = _auxiliary(self.model, self.main)
        self.producers = {name: op for op in self.main for name in op.node.output if name}
        self.readers = _readers(self.main)
        self._unblock()
        self.passing = {op.id for op in self.main if self._passes(op)}
        self.classes = {name: self._find(name) for name in self.values}
        self.makers = self._makers()
        self.moving = [self._moves(place) for place in range(len(self.observations))]
        for op in self.ops:
            self.truths[op.id] = self._direct(op)
        self._by_service()
        self._by_readers()

    def _unblock(self) -> None:
        """Take the zeros out of blocked tensors that fill up their last block, if what is left is known then."""
        for name, maker in self.producers.items():
            if maker.node.domain != _BLOCKED or name not in self.numbers or self._find(name):
                continue
            shape = self.values[name].shape
            for channels in range(1, min(_BLOCK, shape[1]) if len(shape) > 1 else 0):
                numbers = unpadded(self.numbers[name], shape, channels)
                if numbers is not None and self.alike.find(numbers):
                    self.numbers[name] = numbers
                    break

    def _find(self, name: str) -> tuple[int, ...]:
        return self.alike.find(self.numbers[name], exact=not _is_float(self.values[name]))

    def _makers(self) -> dict[int, set[int]]:
        """Class of values to the nodes that make it, pass-through nodes left out."""
        found: dict[int, set[int]] = defaultdict(set)
        for name, classes in self.classes.items():
            maker = self.producers[name].id if name in self.producers else _GIVEN
            if maker not in self.passing:
                for number in classes:
                    found[number].add(maker)
        return found

    def _passes(self, op: Op) -> bool:
        """Whether a node gives back one of its inputs, in whatever order; only a change of type may round."""
        output = next((self.numbers[name] for name in op.node.output if name in self.numbers), None)
        inputs = [self.numbers[name] for name in op.node.input if name in self.numbers]
        if output is None:
            return False
        if op.node.op_type == "Cast":
            return any(distance(output, other) < _NEVER for other in inputs)
        return any(np.array_equal(output, other) for other in inputs)

    def _moves(self, place: int) -> bool:
        """Whether an operation computed nothing: it is a view, or gives back what it read in the same order."""
        seen, number = self.observations[place], self.alike.of[place]
        if seen.view or number is None:
            return seen.view
        equal = (self.observations[other].values for other in seen.inputs if self.alike.of[other] == number)
        return any(_apart(seen.values, other) == 0.0 for other in equal)

    # --- what a node's own value says ---------------------------------------------------------------------------------

    def _direct(self, op: Op) -> Truth:
        if op.scope.name != MAIN:
            return Truth(BODY)
        if op.node.op_type == "Constant":
            return Truth(CONSTANT)
        if op.id in self.passing:
            return Truth(self.auxiliary.get(op.id, PASSES))
        found = [self._of_output(op, name) if name in self.values else Truth(_HIDDEN) for name in op.node.output]
        known = [truth.candidates for truth in found if truth.candidates]
        if known:
            return Truth("", _together(known))
        reason = next((truth.reason for truth in found), _HIDDEN)
        return Truth(self.auxiliary.get(op.id, reason))

    def _of_output(self, op: Op, name: str) -> Truth:
        numbers = self.numbers[name]
        distinct = _distinct(numbers)
        if not distinct:
            return Truth(_ALIKE)
        places = [place for number in self.classes[name] for place in self.alike.members[number]]
        if not _is_float(self.values[name]) or distinct < _DISTINCT:
            return self._of_weak(op, name, places, distinct)
        places = [place for place in places if _is_float(self.observations[place].values)]
        working = [place for place in places if not self.moving[place]]
        # Of values that are rearranged (rolled, flipped), each order has a maker of its own.
        standing = [place for place in places if _apart(self.values[name], self.observations[place].values) < _NEVER]
        ordered = [place for place in standing if place in working]
        # What was put together before is taken apart again, or a part is handed on that another operation makes, too.
        handed = all(self._exists(place, op) for place in working) or len(ordered) < len(standing)
        if op.node.op_type in TAKING and working and handed:
            return Truth(VIEW)
        # If none works, it may be a part of what an operation made and what as a whole exists nowhere in the file.
        candidates = self._candidates(op, ordered or working or places)
        return Truth("" if candidates else VIEW if places else _NOBODY, candidates)

    def _of_weak(self, op: Op, name: str, places: Sequence[int], distinct: int) -> Truth:
        """Integers, booleans and masks: the same values in the same order, by an operation of the same kind."""
        if op.id in self.auxiliary:
            return Truth(self.auxiliary[op.id])
        value = self.values[name]
        fitting = [
            place
            for place in places
            if not self.moving[place]
            and same_operator(op.node.op_type, self.observations[place].operator)
            and _identical(value, self.observations[place].values)
        ]
        if distinct < _DISTINCT and len({self.observations[place].module for place in fitting}) > 1:
            fitting = []
        candidates = self._candidates(op, fitting)
        return Truth("" if candidates else _WEAK, candidates)

    def _candidates(self, op: Op, places: Sequence[int]) -> tuple[Candidate, ...]:
        fitting = (place for place in places if op.node.op_type not in PRODUCTS or self._multiplies(op, place))
        found = (self._work(op, place) for place in fitting)
        return tuple(dict.fromkeys(candidate for candidate in found if candidate.modules))

    def _multiplies(self, op: Op, start: int) -> bool:
        """Whether an operation is more than arithmetic on what exists: no product of matrices is a sum taken back."""
        seen = self.observations[start]
        return seen.operator not in ARITHMETIC or not all(self._exists(other, op) for other in seen.inputs)

    def _work(self, op: Op, start: int) -> Candidate:
        """Walk back from an operation to values that exist in the file, made by another node than this one.

        Operations on weights and constants alone do not count: an exporter has done them already.
        """
        ran: set[str] = set()
        modules: set[str] = set()
        calls: set[str] = set()
        stack, reached = [(start, True)], {start}
        while stack:
            place, first = stack.pop()
            seen, moves = self.observations[place], self.moving[place]
            if not moves and (first or seen.data):
                modules.add(seen.module)
                calls.update(seen.call)
                if first:
                    ran.add(seen.module)
            for other in seen.inputs:
                if other not in reached and not self._exists(other, op):
                    reached.add(other)
                    stack.append((other, first and moves))
        return Candidate(frozenset(ran), frozenset(modules), frozenset(calls))

    def _exists(self, place: int, op: Op) -> bool:
        number = self.alike.of[place]
        return number is not None and bool(self.makers.get(number, set()) - {op.id})

    # --- what a node serves -------------------------------------------------------------------------------------------

    def _by_service(self) -> None:
        """Judge nodes whose own value no operation makes by the operations that they serve."""
        served: dict[int, frozenset[Candidate] | None] = {}
        leaving = {value.name for value in self.model.graph.output}
        for op in reversed(self.main):
            truth = self.truths[op.id] = self._with_sums(op, self.truths[op.id])
            if truth.candidates:
                served[op.id] = frozenset(truth.candidates)
                continue
            open_end = truth.reason in (VIEW, BODY) or any(name in leaving for name in op.node.output)
            served[op.id] = None if open_end else self._ends(op, served)
            ends = served[op.id]
            modules = frozenset[str]().union(*(end.modules for end in ends or ()))
            if ends and len(modules) == 1 and self._is_step(op, modules):
                calls = frozenset[str]().union(*(end.calls for end in ends))
                self.truths[op.id] = Truth("", (Candidate(modules, modules, calls),), inner=True)

    def _with_sums(self, op: Op, truth: Truth) -> Truth:
        """A product that one operation makes may be a step of another one, too, which adds a stored bias to it."""
        if not truth.candidates or op.node.op_type not in PRODUCTS:
            return truth
        sums = (reader for reader in self._reading(op) if reader.node.op_type == "Add")
        biased = [add for add in sums if any(n not in self.producers and n not in self.feeds for n in add.node.input)]
        others = [one for add in biased for one in self.truths[add.id].candidates]
        found = tuple(
            Candidate(one.ran | other.ran, one.modules | other.modules, one.calls | other.calls)
            for one, other in itertools.islice(itertools.product(truth.candidates, others), _MOST_ANSWERS)
        )
        return Truth("", found) if found else truth

    def _is_step(self, op: Op, modules: frozenset[str]) -> bool:
        """Whether a node that serves one module alone is a step of its operation, and not of another before it.

        A value of many numbers that the run never made is. Of others that cannot be said, since a trace makes masks
        that the run did without: such a node has to start from what the same module made.
        """
        reason = self.truths[op.id].reason
        if reason == _NOBODY:
            return True
        if reason not in (_ALIKE, _WEAK) or any(self.classes.get(name) for name in op.node.output):
            return False
        sources = list(self._sources(op))
        return bool(sources) and all(source == modules for source in sources)

    def _sources(self, op: Op) -> Iterator[frozenset[str]]:
        """The modules of what each input of a node was made by, empty if they are not known; constants left out."""
        for name in op.node.input:
            maker = self.producers.get(name)
            if maker is None:
                if name in self.feeds:
                    yield frozenset()
            elif maker.id in self.passing and maker.id not in self.auxiliary:
                yield from self._sources(maker)
            elif maker.id not in self.auxiliary:
                yield frozenset[str]().union(*(one.modules for one in self.truths[maker.id].candidates))

    def _ends(self, op: Op, served: Mapping[int, frozenset[Candidate] | None]) -> frozenset[Candidate] | None:
        """The operations at the ends of all ways from a node; None if one of them ends elsewhere."""
        found: set[Candidate] = set()
        for reader in self._reading(op):
            ends = served[reader.id]
            if reader.id in self.auxiliary:
                continue
            if ends is None or any(True for _ in bodies(reader.node)):
                return None
            found |= ends
        return frozenset(found)

    def _reading(self, op: Op) -> Iterator[Op]:
        return (reader for name in op.node.output if name for reader in self.readers.get(name, ()))

    def _made_in(self, op: Op) -> frozenset[str]:
        """The modules in which the run made the very value of a constant or a piece of shape arithmetic."""
        for name in op.node.output:
            if name in self.values and _distinct(self.numbers[name]) >= _DISTINCT:
                seen = (self.observations[p] for number in self.classes[name] for p in self.alike.members[number])
                return frozenset(
                    one.module for one in seen if one.operator and _apart(self.values[name], one.values) < _NEVER
                )
        return frozenset()

    def _by_readers(self) -> None:
        """What is known of who reads each constant and each piece of shape arithmetic, last nodes first."""
        for op in reversed(self.main):
            if op.id not in self.auxiliary:
                continue
            self.made_in[op.id] = self._made_in(op)
            found: set[frozenset[str]] = set()
            for reader in self._reading(op):
                candidates = self.truths[reader.id].candidates
                if candidates:
                    found.add(frozenset[str]().union(*(candidate.modules for candidate in candidates)))
                elif self.made_in.get(reader.id):
                    found.add(self.made_in[reader.id])
                else:
                    found |= self.read_by.get(reader.id, frozenset())
            self.read_by[op.id] = frozenset(found)


def _together(outputs: Sequence[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    """The answers for a node of several outputs: whoever made one of them has a part in it."""
    if len(outputs) == 1:
        return outputs[0]
    nobody = frozenset[str]()
    found = {
        Candidate(
            nobody.union(*(one.ran for one in chosen)),
            nobody.union(*(one.modules for one in chosen)),
            nobody.union(*(one.calls for one in chosen)),
        )
        for chosen in itertools.islice(itertools.product(*outputs), _MOST_ANSWERS)
    }
    return tuple(sorted(found, key=lambda one: (sorted(one.modules), sorted(one.ran), sorted(one.calls))))


def _all_values(model: onnx.ModelProto, feeds: Mapping[str, Values], made: Mapping[str, Values]) -> dict[str, Values]:
    """Every tensor of numbers in the main graph: inputs, initializers and what nodes make."""
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {
        name: value for name, value in {**stored, **feeds, **made}.items() if value.size and value.dtype.kind in "biufV"
    }


def _is_float(value: Values | None) -> bool:
    # numpy has no kind of its own for bfloat16.
    return value is not None and value.dtype.kind in "fV"


def _apart(one: Values | None, other: Values | None) -> float:
    """How far apart two tensors are in the order in which they stand."""
    return _NEVER if one is None or other is None else distance(in_order(one), in_order(other))


def _distinct(numbers: Numbers) -> int:
    """How many distinct values a sorted list has, 0 if all are equal."""
    steps = int(np.count_nonzero(numbers[1:] != numbers[:-1]))
    return steps + 1 if steps else 0


def _identical(value: Values, other: Values | None) -> bool:
    if other is None or value.shape != other.shape or _is_float(value) != _is_float(other):
        return False
    return bool(np.array_equal(value, other))


def _auxiliary(model: onnx.ModelProto, main: Sequence[Op]) -> dict[int, str]:
    """The nodes that no data reaches but through its shape, and which of the two kinds they are."""
    kinds = dict.fromkeys((tensor.name for tensor in model.graph.initializer), CONSTANT)
    found: dict[int, str] = {}
    for op in main:
        if any(True for _ in bodies(op.node)):
            continue
        inputs = [name for name in op.node.input if name]
        if op.node.op_type in ("Shape", "Size"):
            found[op.id] = SHAPE
        elif all(name in kinds for name in inputs):
            found[op.id] = SHAPE if any(kinds[name] == SHAPE for name in inputs) else CONSTANT
        kinds.update((name, found[op.id]) for name in op.node.output if name and op.id in found)
    return found


def _readers(main: Sequence[Op]) -> dict[str, list[Op]]:
    found: dict[str, list[Op]] = defaultdict(list)
    for op in main:
        for name in dict.fromkeys((*op.node.input, *_read_in_bodies(op.node))):
            found[name].append(op)
    return found


def _read_in_bodies(node: onnx.NodeProto) -> Iterator[str]:
    for _, graph in bodies(node):
        for inner in graph.node:
            yield from inner.input
            yield from _read_in_bodies(inner)
