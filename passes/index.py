"""Producer-consumer index: who makes each tensor and who reads it, in all graphs, as one networkx graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnx_tagger.errors import FileFormatError
from onnx_tagger.graph import Walk
from onnx_tagger.passes.base import Analysis, Context

if TYPE_CHECKING:
    import networkx as nx

TensorKey = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Flow:
    """The data flow of a model.

    Attributes
    ----------
    graph : networkx.DiGraph
        Nodes are op ids; an edge runs from the op that makes a tensor to one that reads it and carries the name in
        ``tensor``. The ops that make a body's outputs have an edge to the node that owns the body. Functions are
        components of their own: a call is one op.
    order : list of int
        Op ids in topological order.
    producer : dict
        (scope number, tensor name) to op id.
    stored : set
        (scope number, tensor name) of the initializers.
    readers : dict
        (scope number, tensor name) to ids of the ops that read a tensor which no op makes: inputs and initializers.
    inputs : list of list of TensorKey
        For each op what it reads, resolved by ONNX scoping: bodies see the tensors around them.
    place : list of int
        For each op the number of its scope.
    """

    graph: nx.DiGraph[int]
    order: list[int]
    producer: dict[TensorKey, int]
    stored: set[TensorKey]
    readers: dict[TensorKey, list[int]]
    inputs: list[list[TensorKey]]
    place: list[int]

    def producers(self, op: int) -> list[int]:
        """Ids of the ops whose tensors an op reads."""
        return list(self.graph.pred[op])

    def consumers(self, op: int) -> list[int]:
        """Ids of the ops that read an op's tensors."""
        return list(self.graph.succ[op])


class DataFlow(Analysis[Flow]):
    """Builds `Flow` from one edge list, in linear time."""

    def compute(self, ctx: Context) -> Flow:
        """Index the model.

        Raises
        ------
        FileFormatError
            If the nodes depend on each other in a circle, or a tensor's name is no text.
        """
        # Here, so that what reads no data flow (`check`, `stats`) starts without it: a tenth of a second.
        import networkx as nx

        walk = ctx.walk
        names = _Names(walk)
        edges: list[tuple[int, int, dict[str, str]]] = []
        readers: dict[TensorKey, list[int]] = {}
        inputs: list[list[TensorKey]] = []
        for op in walk.ops:
            place = names.number[id(op.scope)]
            keys = [names.resolve(place, name) for name in op.node.input if name]
            inputs.append(keys)
            if any(isinstance(name, bytes) for _, name in keys):
                raise FileFormatError(f"{op.label}: the name of an input is no valid UTF-8; export the model again")
            for key in keys:
                maker = names.producer.get(key)
                if maker is None:
                    readers.setdefault(key, []).append(op.id)
                else:
                    edges.append((maker, op.id, {"tensor": key[1]}))
        edges.extend(_body_edges(walk, names))
        # The graph takes 920 bytes a node (at 1.2 edges: three dicts a node, one an edge), so 0.9 GB for a million,
        # of which adjacency lists would take a seventh. It is worth that: order, circles and components come from a
        # library that passes of others know, too, and it is not built for a file whose nodes are all matched.
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(walk.ops)))
        graph.add_edges_from(edges)
        try:
            order = list(nx.topological_sort(graph))
        except nx.NetworkXUnfeasible:
            raise FileFormatError(f"nodes read each other in a circle, among them {_on_circle(ctx, graph)}") from None
        stored = {(place, name) for place, scope in enumerate(walk.scopes) for name in scope.initializer_names}
        places = [names.number[id(op.scope)] for op in walk.ops]
        return Flow(graph, order, names.producer, stored, readers, inputs, places)


class _Names:
    """Which scope defines each tensor name, by ONNX scoping."""

    def __init__(self, walk: Walk) -> None:
        self.number = {id(scope): index for index, scope in enumerate(walk.scopes)}
        self.parents = [self.number[id(scope.parent)] if scope.parent is not None else -1 for scope in walk.scopes]
        self.defined = [{*scope.input_names, *scope.initializer_names} for scope in walk.scopes]
        self.producer: dict[TensorKey, int] = {}
        for op in walk.ops:
            place = self.number[id(op.scope)]
            for name in op.node.output:
                if isinstance(name, bytes):
                    raise FileFormatError(
                        f"{op.label}: the name of an output is no valid UTF-8; export the model again"
                    )
                if name:
                    self.producer.setdefault((place, name), op.id)
                    self.defined[place].add(name)

    def resolve(self, place: int, name: str) -> TensorKey:
        """The tensor that `name` means in a scope: its own, or that of the nearest scope around it."""
        found = place
        while found >= 0 and name not in self.defined[found]:
            found = self.parents[found]
        return (place if found < 0 else found, name)


def _body_edges(walk: Walk, names: _Names) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Edges from what makes a body's outputs to the node that owns the body."""
    for place, scope in enumerate(walk.scopes):
        if scope.owner is None:
            continue
        for name in scope.output_names:
            maker = names.producer.get(names.resolve(place, name))
            if maker is not None and maker != scope.owner.id:
                yield maker, scope.owner.id, {"tensor": name}


def _on_circle(ctx: Context, graph: nx.DiGraph[int]) -> str:
    import networkx as nx

    circle = nx.find_cycle(graph)
    first: int = circle[0][0]
    return ctx.ops[first].label
