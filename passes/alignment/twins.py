"""Nodes of a changed graph that nothing tells apart: neither a name nor a weight, nor what lies before and behind them.

Which saved node each of them stands for cannot be said, however the others of their region were assigned. Node
signatures are those of value numbering, forwards and backwards: see `structure`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import onnx

from onnx_tagger.model.graph import MAIN, operator
from onnx_tagger.passes.alignment.correspondence import Correspondence
from onnx_tagger.passes.alignment.parts import COMMUTATIVE


def twins_among(same: Correspondence, among: Sequence[int]) -> Iterator[list[int]]:
    """The groups of two or more of some ops of the main graph that nothing tells apart.

    Parameters
    ----------
    same : Correspondence
    among : sequence of int
        Ids in topological order; the others are told by their names.
    """
    main = [index for index in among if same.ops[index].scope.name == MAIN]
    signatures = _Signatures(same, main)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index in main:
        groups[signatures.ahead[index], signatures.behind[index]].append(index)
    yield from (group for group in groups.values() if len(group) > 1)


class _Signatures:
    """For each op a number for all that comes before it, and one for all that comes behind, as far as it is unnamed."""

    def __init__(self, same: Correspondence, among: Sequence[int]) -> None:
        self.same, self.members = same, set(among)
        self.numbers: dict[Hashable, int] = {}
        graph = same.main.proto
        stored = graph.initializer if isinstance(graph, onnx.GraphProto) else ()
        self.shapes = {tensor.name: tuple(tensor.dims) for tensor in stored}
        self.results = set(same.main.output_names)
        self.ahead: dict[int, int] = {}
        self.behind: dict[int, int] = {}
        for index in among:
            self.ahead[index] = self._number(self._before(index))
        readers = self._readers(among)
        for index in reversed(among):
            made = [(slot, *reads) for slot, name in enumerate(self._outputs(index)) for reads in readers[name]]
            read = sorted((slot, where, self.behind.get(reader, -1), other) for slot, where, reader, other in made)
            self.behind[index] = self._number(("behind", self.ahead[index], *self._named(index), *read))

    def _number(self, key: Hashable) -> int:
        return self.numbers.setdefault(key, len(self.numbers))

    def _outputs(self, index: int) -> list[str]:
        return [*self.same.ops[index].node.output]

    def _named(self, index: int) -> Iterator[tuple[int, str]]:
        """The outputs of an op that names tell, by their places, and the op itself if its name does."""
        op, same = self.same.ops[index], self.same
        for slot, name in enumerate(op.node.output):
            known = same.key(MAIN, name)
            if name and (name in self.results or self._is_named(known)):
                yield slot, known[1]
        if (MAIN, op.node.name) in same.index.by_name:
            yield -1, op.node.name

    def _is_named(self, known: tuple[str, str]) -> bool:
        return known in self.same.index.by_output and known not in self.same.by_structure

    def _before(self, index: int) -> Hashable:
        """What an op is and reads: known weights by what tells them, others by their shapes, the rest by its makers."""
        op, flow = self.same.ops[index], self.same.flow
        if op in self.same.owners or op.node.op_type == "Constant":
            # What bodies do is not compared, and a constant is told by its readers.
            return ("own", index) if op in self.same.owners else ("Constant",)
        weights = self.same.weights(op)
        read: list[Hashable] = []
        for slot, name in enumerate(op.node.input):
            maker = flow.producer.get((0, name))
            if slot in weights:
                read.append(("weight", weights[slot]))
            elif name in self.shapes:
                read.append(("stored", self.shapes[name]))
            elif maker in self.ahead and maker is not None:
                read.append((self.ahead[maker], self._outputs(maker).index(name)))
            else:
                read.append(name)
        if op.node.op_type in COMMUTATIVE:
            return (operator(op.node), frozenset((each, read.count(each)) for each in read))
        return (operator(op.node), *read)

    def _readers(self, among: Sequence[int]) -> dict[str, list[tuple[int, int, int]]]:
        """Tensor to its readers: input position (0 where order is nothing), id, and, if a name tells it, that again."""
        found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for index, op in enumerate(self.same.ops):
            commutes = op.node.op_type in COMMUTATIVE
            for slot, name in enumerate(op.node.input):
                inside = index in self.members
                found[name].append((0 if commutes else slot, index, -1 if inside else index))
        return found
