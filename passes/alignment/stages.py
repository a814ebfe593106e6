"""Stages of the saved graph that a tool dropped, folded into weights or left to a quantiser, and whose names moved.

Where a stage goes, its tensor's name often goes to what came before it, or the name of what came before is read in its
place. What a node computes decides there: the weights that it reads, and what reads its result. Names that tools make
of others are `renames`'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from onnx_tagger.hierarchy.map import SavedNode
from onnx_tagger.model.graph import Op, operator
from onnx_tagger.passes.alignment.renames import CONVERTED, called_after
from onnx_tagger.passes.analyses.dataflow import TensorKey
from onnx_tagger.passes.analyses.saved import FamilyName, family_of
from onnx_tagger.passes.analyses.sizes import size_inputs
from onnx_tagger.passes.replay.operators import CLAMPS, CONVERTERS, MOVES, standard

if TYPE_CHECKING:
    from onnx_tagger.passes.alignment.correspondence import Correspondence

# So many dropped stages in a row are looked behind.
_MOST_STAGES = 8

Renamed = Mapping[FamilyName, FamilyName]


class Stages:
    """Tensors of a file that are not what their names say, for a stage before or behind them is gone.

    Parameters
    ----------
    same : Correspondence
        As far as names tell.
    holds : callable
        Whether a stored tensor holds the values of the parameter that is called so, as far as that can be read.
    """

    def __init__(self, same: Correspondence, holds: Callable[[str], bool]) -> None:
        self.same, self.ops, self.flow, self.index, self.holds = same, same.ops, same.flow, same.index, holds

    def tensors(self) -> tuple[Renamed, set[FamilyName]]:
        """New tensors to the saved ones that they are, ("", name) if none; and the saved ones that they are as well."""
        found, both = self._clamped(), set[FamilyName]()
        for op in self.ops:
            if op in self.same.tags or len(op.node.output) != 1 or not standard(operator(op.node)):
                continue
            made = self._key(op)
            if made in found or (known := self.same.key(*made)) not in self.index.by_output:
                continue
            saved = self._named(op)
            if saved is not None and saved.outputs[:1] != (known[1],):
                if self._does_the_same(op, saved):
                    found[made] = (made[0], saved.outputs[0])
                    both.update({known} if self._leads(found[made], known) else ())
            elif saved is not None and self._is_read_later(op, known) and self.same.altered(op):
                found[made] = ("", made[1])
        return found, both

    def _key(self, op: Op) -> FamilyName:
        return op.scope.family, op.node.output[0]

    def _named(self, op: Op) -> SavedNode | None:
        """The saved node of the same name and operator, if it makes one tensor."""
        place = self.index.by_name.get((op.scope.family, op.node.name))
        node = self.index.graph.nodes[place] if place is not None else None
        return node if node is not None and node.op == operator(op.node) and len(node.outputs) == 1 else None

    def _does_the_same(self, op: Op, saved: SavedNode) -> bool:
        """Whether a node reads what a saved one of its name reads, the same weights too: so it makes the same.

        What moves or takes sizes is left out: its work is in its attributes and sizes.
        """
        if op.node.op_type in MOVES or op.node.op_type in CONVERTERS or size_inputs(op.node.op_type):
            return False
        names, others = _stripped(op.node.input), _stripped(saved.inputs)
        if len(names) != len(others) or op in self.same.owners:
            return False
        mine, theirs = self.same.weights(op), self.same.saved_weights(saved)
        for slot, (name, other) in enumerate(zip(names, others, strict=True)):
            told = self.same.key(op.scope.family, name) == self._original((op.scope.family, other))
            if not told and mine.get(slot, frozenset()).isdisjoint(theirs.get(slot, ())):
                return False
            if slot in mine and not self.holds(name):
                return False
        return True

    def _original(self, key: FamilyName) -> FamilyName:
        """The saved tensor that another one is a plain copy of: exporters write shared weights so."""
        for _ in range(_MOST_STAGES):
            place = self.index.by_output.get(key)
            if place is None or self.index.graph.nodes[place].op != "Identity":
                break
            key = key[0], self.index.graph.nodes[place].inputs[0]
        return key

    def _leads(self, before: FamilyName, known: FamilyName) -> bool:
        """Whether a saved tensor is made of another one and constants alone, in a few steps."""
        nodes = self.index.graph.nodes
        for _ in range(_MOST_STAGES):
            place = self.index.by_output.get(known)
            data = list(self._data(nodes[place])) if place is not None else []
            if len(data) != 1:
                return False
            known = data[0]
            if known == before:
                return True
        return False

    def _data(self, node: SavedNode) -> Iterator[FamilyName]:
        """What a saved node reads besides stored tensors and constants."""
        family, sizes = family_of(node.scope), size_inputs(node.op)
        for slot, name in enumerate(node.inputs):
            place = self.index.by_output.get((family, name))
            constant = name in self.index.graph.initializers or (
                place is not None and self.index.graph.nodes[place].op == "Constant"
            )
            if name and slot not in sizes and not constant:
                yield family, name

    def _is_read_later(self, op: Op, known: FamilyName) -> bool:
        """Whether a reader of a tensor that makes what it made reads something later there."""
        nodes, by_output = self.index.graph.nodes, self.index.by_output
        for reader in self._readers.get(self.flow.outputs[op.id][0], ()):
            other = self.ops[reader]
            for made in self.same.known(other):
                saved = nodes[by_output[made]]
                if saved.op == operator(other.node) and known[1] not in saved.inputs:
                    return True
        return False

    @cached_property
    def _readers(self) -> dict[TensorKey, list[int]]:
        """For each tensor the ids of the ops that read it."""
        found: dict[TensorKey, list[int]] = {}
        for op in self.ops:
            for key in dict.fromkeys(self.flow.inputs[op.id]):
                found.setdefault(key, []).append(op.id)
        return found

    # --- left to a quantiser ------------------------------------------------------------------------------------------

    def _clamped(self) -> dict[FamilyName, FamilyName]:
        """Tensors in front of and behind quantisers that hold them within bounds in place of a saved node.

        Tools drop a clamp in front of a quantiser that saturates. What comes before it gets the name of its result, or
        keeps its own name and is read in its place; then the quantiser's name tells.
        """
        found: dict[FamilyName, FamilyName] = {}
        for op in self.ops:
            if op.node.op_type != "QuantizeLinear" or not op.node.output or not self.flow.inputs[op.id]:
                continue
            key = self.flow.inputs[op.id][0]
            read, made = (self.same.families[key[0]], key[1]), (op.scope.family, op.node.output[0])
            clamp = self._clamp(self.same.key(*read))
            if clamp is not None and self._passes_on(key, clamp):
                found[made], found[read] = self.same.key(*read), (read[0], clamp.inputs[0])
                continue
            for name in called_after(made[1], CONVERTED):
                clamp = self._clamp((made[0], name))
                if clamp is not None and self.same.key(*read) == (made[0], clamp.inputs[0]):
                    found[made] = (made[0], name)
        return found

    def _clamp(self, key: FamilyName) -> SavedNode | None:
        """The saved node that makes a tensor, if it only holds another one within bounds."""
        place = self.index.by_output.get(key)
        node = self.index.graph.nodes[place] if place is not None else None
        return node if node is not None and node.op in CLAMPS and node.inputs else None

    def _passes_on(self, key: TensorKey, clamp: SavedNode) -> bool:
        """Whether what makes a tensor does no clamp's work, and quantisers alone read it."""
        maker = self.flow.producer.get(key)
        if maker is None or operator(self.ops[maker].node) == clamp.op or not standard(operator(self.ops[maker].node)):
            return False
        return all(self.ops[reader].node.op_type == "QuantizeLinear" for reader in self._readers.get(key, ()))


def _stripped(names: Sequence[str]) -> list[str]:
    """Names without those that are missing at the end."""
    found = list(names)
    while found and not found[-1]:
        found.pop()
    return found
