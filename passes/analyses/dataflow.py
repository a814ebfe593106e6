"""Producer-consumer index: who makes each tensor and who reads it, in all graphs, also as one networkx graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from onnx_tagger.errors import FileFormatError
from onnx_tagger.model.graph import Op, Walk
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Analysis, Context

if TYPE_CHECKING:
    import networkx as nx

TensorKey = tuple[int, str]


@dataclass(frozen=True)
class Flow:
    """The data flow of a model.

    Attributes
    ----------
    order : list of int
        Op ids in topological order: that of the file where the file is sorted, an owner behind its bodies.
    producer : dict
        (scope number, tensor name) to op id.
    stored : set
        (scope number, tensor name) of the initializers.
    readers : dict
        (scope number, tensor name) to ids of the ops that read a tensor which no op makes: inputs and initializers.
    inputs : list of list of TensorKey
        For each op what it reads, resolved by ONNX scoping: bodies see the tensors around them.
    outputs : list of list of TensorKey
        For each op what it makes.
    place : list of int
        For each op the number of its scope.
    given : dict
        For each op that owns bodies the ops that make what these give back, with the tensors' names.
    """

    order: list[int]
    producer: dict[TensorKey, int]
    stored: set[TensorKey]
    readers: dict[TensorKey, list[int]]
    inputs: list[list[TensorKey]]
    outputs: list[list[TensorKey]]
    place: list[int]
    given: dict[int, list[tuple[int, str]]]

    __repr__ = brief_fields

    @cached_property
    def graph(self) -> nx.DiGraph[int]:
        """The same as a graph, made when it is asked for.

        Nodes are op ids; an edge runs from the op that makes a tensor to one that reads it and carries the name in
        ``tensor``. The ops that make a body's outputs have an edge to the node that owns the body. Functions are
        components of their own: a call is one op.
        """
        # It takes 920 bytes a node (at 1.2 edges: three dicts a node, one an edge), of which adjacency lists would
        # take a seventh: worth it for passes that ask for neighbours, circles or components, and not made for others.
        return _graph(self.inputs, self.producer, self.given)

    def producers(self, op: int) -> list[int]:
        """Ids of the ops whose tensors an op reads, each once."""
        makers = (self.producer.get(key) for key in self.inputs[op])
        found = dict.fromkeys(maker for maker in makers if maker is not None)
        return list(found | dict.fromkeys(maker for maker, _ in self.given.get(op, ())))

    def consumers(self, op: int) -> list[int]:
        """Ids of the ops that read an op's tensors."""
        return list(self.graph.succ[op])


class DataFlow(Analysis[Flow]):
    """Builds `Flow` in linear time."""

    def compute(self, ctx: Context) -> Flow:
        """Index the model.

        Raises
        ------
        FileFormatError
            If the nodes depend on each other in a circle, or a tensor's name is no text.
        """
        walk = ctx.walk
        names = _Names(walk)
        readers: dict[TensorKey, list[int]] = {}
        inputs = [names.read(op, readers) for op in walk.ops]
        given = _given_back(walk, names)
        order = _sorted(walk.ops, inputs, names.producer, given)
        if order is None:
            order = _topological(ctx, _graph(inputs, names.producer, given))
        stored = {(place, name) for place, scope in enumerate(walk.scopes) for name in scope.initializer_names}
        return Flow(order, names.producer, stored, readers, inputs, names.outputs, names.places, given)


def _graph(
    inputs: Sequence[Sequence[TensorKey]],
    producer: dict[TensorKey, int],
    given: dict[int, list[tuple[int, str]]],
) -> nx.DiGraph[int]:
    # Here, so that what asks for no graph starts without it: a tenth of a second.
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(inputs)))
    graph.add_edges_from(
        (producer[key], index, {"tensor": key[1]})
        for index, keys in enumerate(inputs)
        for key in keys
        if key in producer
    )
    graph.add_edges_from((maker, owner, {"tensor": name}) for owner, makers in given.items() for maker, name in makers)
    return graph


def _sorted(
    ops: Sequence[Op],
    inputs: Sequence[Sequence[TensorKey]],
    producer: dict[TensorKey, int],
    given: dict[int, list[tuple[int, str]]],
) -> list[int] | None:
    """Op ids as they stand in the file, an owner behind its bodies; None if one reads what comes later."""
    last, rank = list(range(len(ops))), [0] * len(ops)
    for op in reversed(ops):
        if op.scope.owner is not None:
            last[op.scope.owner.id] = max(last[op.scope.owner.id], last[op.id])
    # An owner comes behind its bodies, whose results it gives back; a block's nodes stay together.
    order = sorted(range(len(last)), key=lambda index: (last[index], -index))
    for place, index in enumerate(order):
        rank[index] = place
    for index, mine in enumerate(rank):
        for key in inputs[index]:
            maker = producer.get(key)
            if maker is not None and rank[maker] >= mine:
                return None
    late = (rank[maker] >= rank[owner] for owner, makers in given.items() for maker, _ in makers)
    return None if any(late) else order


def _topological(ctx: Context, graph: nx.DiGraph[int]) -> list[int]:
    import networkx as nx

    try:
        return list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible:
        raise FileFormatError(f"nodes read each other in a circle, among them {_on_circle(ctx, graph)}") from None


class _Names:
    """Which scope defines each tensor name, by ONNX scoping."""

    def __init__(self, walk: Walk) -> None:
        self.number = {id(scope): index for index, scope in enumerate(walk.scopes)}
        self.parents = [self.number[id(scope.parent)] if scope.parent is not None else -1 for scope in walk.scopes]
        self.given = [{*scope.input_names, *scope.initializer_names} for scope in walk.scopes]
        self.producer: dict[TensorKey, int] = {}
        self.outputs: list[list[TensorKey]] = [[] for _ in walk.ops]
        self.places = [0] * len(walk.ops)
        for place, scope in enumerate(walk.scopes):
            for op in scope.ops:
                self.places[op.id] = place
                self._makes(op, [(place, name) for name in op.node.output if name])

    def _makes(self, op: Op, made: list[TensorKey]) -> None:
        self.outputs[op.id] = made
        for key in made:
            if isinstance(key[1], bytes):
                raise FileFormatError(f"{op.label}: the name of an output is no valid UTF-8; export the model again")
            self.producer.setdefault(key, op.id)

    def read(self, op: Op, readers: dict[TensorKey, list[int]]) -> list[TensorKey]:
        """What an op reads; it is added to the readers of what no op makes."""
        place, producer = self.places[op.id], self.producer
        if self.parents[place] < 0:
            keys = [(place, name) for name in op.node.input if name]
        else:
            keys = [self.resolve(place, name) for name in op.node.input if name]
        for key in keys:
            if key not in producer:
                if isinstance(key[1], bytes):
                    raise FileFormatError(f"{op.label}: the name of an input is no valid UTF-8; export the model again")
                readers.setdefault(key, []).append(op.id)
        return keys

    def resolve(self, place: int, name: str) -> TensorKey:
        """The tensor that `name` means in a scope: its own, or that of the nearest scope around it."""
        found = place
        while found >= 0 and name not in self.given[found] and (found, name) not in self.producer:
            found = self.parents[found]
        return (place if found < 0 else found, name)


def _given_back(walk: Walk, names: _Names) -> dict[int, list[tuple[int, str]]]:
    """What makes the outputs of each owner's bodies, and what these are called."""
    found: dict[int, list[tuple[int, str]]] = {}
    for place, scope in enumerate(walk.scopes):
        if scope.owner is None:
            continue
        for name in scope.output_names:
            maker = names.producer.get(names.resolve(place, name))
            if maker is not None and maker != scope.owner.id:
                found.setdefault(scope.owner.id, []).append((maker, name))
    return found


def _on_circle(ctx: Context, graph: nx.DiGraph[int]) -> str:
    import networkx as nx

    circle = nx.find_cycle(graph)
    first: int = circle[0][0]
    return ctx.ops[first].label
