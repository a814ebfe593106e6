"""The nodes of a graph that the other graph of a comparison does not have, as they are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from onnx_tagger.passes.analyses.sizes import size_inputs
from onnx_tagger.passes.replay.operators import SAME_VALUE

# Their inputs may come in any order.
COMMUTATIVE = frozenset(
    {"Add", "And", "BitwiseAnd", "BitwiseOr", "Equal", "Max", "Mean", "Min", "Mul", "Or", "Sum", "Xor"}
)


class PartNode(NamedTuple):
    """A node as it is compared; a named tuple, since there are as many as a tool has changed.

    Attributes
    ----------
    operator : str
        With its domain, if that is not the standard's.
    inputs, outputs : tuple of str
        Tensor names; an empty one is a missing one.
    weights : mapping
        Input position to what tells the weight that is read there; see `WeightKeys`.
    name : str
        The node's name, if it has one.
    opaque : bool
        Whether it has bodies: what these do is not compared.
    said : hashable
        Whose it is, of a saved node.
    altered : bool
        Whether it multiplies by a weight that is not the saved graph's.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Mapping[int, frozenset[Hashable]]
    name: str = ""
    opaque: bool = False
    said: Hashable = None
    altered: bool = False

    @property
    def op_type(self) -> str:
        """The operator without its domain."""
        return _op_type(self.operator)


@cache
def _op_type(operator: str) -> str:
    return operator.rpartition("::")[2]


class Part:
    """Nodes of one graph, with who makes and who reads each tensor.

    Parameters
    ----------
    nodes : sequence of PartNode
        In topological order.
    outputs : frozenset of str
        What the graph gives back.
    stored : frozenset of str
        Names of its stored tensors.
    """

    def __init__(
        self,
        nodes: Sequence[PartNode],
        outputs: frozenset[str] = frozenset(),
        stored: frozenset[str] = frozenset(),
    ) -> None:
        self.nodes, self.outputs, self.stored = nodes, outputs, stored
        self.named = {node.name: node for node in nodes if node.name}
        self.maker: dict[str, int] = {}
        self.readers: dict[str, list[int]] = defaultdict(list)
        for place, node in enumerate(nodes):
            for name in node.outputs:
                self.maker[name] = place
            for name in node.inputs:
                readers = self.readers[name]
                if not readers or readers[-1] != place:
                    readers.append(place)
        self.maker.pop("", None)

    @cached_property
    def constants(self) -> set[int]:
        """The nodes that make constants of constants."""
        found: set[int] = set()
        # A missing input is none that could be else.
        made = {*self.stored, ""}
        for place, node in enumerate(self.nodes):
            of_constants = made.issuperset(node.inputs) and any(node.inputs) and not node.opaque
            if of_constants or node.op_type == "Constant":
                found.add(place)
                made.update(name for name in node.outputs if self.maker.get(name) == place)
        return found

    def constant(self, name: str) -> bool:
        """Whether a tensor is stored, or made of stored ones alone."""
        return name in self.stored or self.maker.get(name) in self.constants

    def data(self, node: PartNode) -> list[int]:
        """The input positions at which a node reads what is computed, sizes left out."""
        sizes = size_inputs(node.op_type)
        named = (slot for slot, name in enumerate(node.inputs) if name and slot not in sizes)
        return [slot for slot in named if not self.constant(node.inputs[slot])]

    def source(self, name: str) -> PartNode | None:
        """The node that makes a tensor, None if it is in the other graph as well."""
        maker = self.maker.get(name)
        return self.nodes[maker] if maker is not None else None

    def kind(self, name: str) -> str:
        """The operator that makes a tensor, or an empty string."""
        node = self.source(name)
        return node.operator if node is not None else ""

    def by_weight(self) -> dict[Hashable, dict[str, list[tuple[int, int]]]]:
        """What tells a weight to the nodes that read it and the inputs by which they do, by operator, in order."""
        found: dict[Hashable, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for place, node in enumerate(self.nodes):
            for slot, keys in node.weights.items():
                for key in keys:
                    found[key][node.operator].append((place, slot))
        return found

    def numbers(self, known: Mapping[str, str], given: dict[Hashable, int]) -> list[int]:
        """A number for each node; nodes of equal numbers do the same of the same.

        Parameters
        ----------
        known : mapping
            Tensor to what it is called in both graphs.
        given : dict
            The numbers of both parts, which grow.
        """
        # Each key has the next number when it is asked for the first time.
        number = given.setdefault
        constant, missing = number("constant", len(given)), number("missing", len(given))
        # What is made outside the part is the same in both only if it is known.
        tensors = {"": missing} | dict.fromkeys(self.stored, constant)
        tensors |= {name: number(("tensor", other), len(given)) for name, other in known.items()}
        copies: dict[int, int] = {}
        constants, found = self.constants, []
        for place, node in enumerate(self.nodes):
            op_type = _op_type(node.operator)
            read = [tensors[name] if name in tensors else number((id(self), name), len(given)) for name in node.inputs]
            sizes = size_inputs(op_type)
            for slot in sizes:
                if slot < len(read):
                    read[slot] = constant
            while read and (read[-1] == missing or len(read) - 1 in sizes):
                read.pop()
            if op_type in COMMUTATIVE:
                read.sort()
            mine = number((id(self), place) if node.opaque else (node.operator, *read), len(given))
            found.append(mine)
            for slot, name in enumerate(node.outputs):
                made = number((mine, slot), len(given)) if slot else mine
                if name in known:
                    # A copy of what is known is what is known.
                    copies[made] = tensors[name]
                elif place in constants:
                    tensors[name] = constant
                elif not slot and read and op_type in SAME_VALUE:
                    tensors[name] = read[0]
                elif name:
                    tensors[name] = copies.get(made, made)
        return found
