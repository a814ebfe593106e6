"""Producer-consumer index: who makes each tensor and who reads it, in all graphs, as one networkx graph."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from onnx_tagger.errors import FileFormatError
from onnx_tagger.graph import Scope
from onnx_tagger.passes.base import Analysis, Context

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
    """

    graph: nx.DiGraph[int]
    order: list[int]
    producer: dict[TensorKey, int]
    stored: set[TensorKey]
    readers: dict[TensorKey, list[int]]
    inputs: list[list[TensorKey]]

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
            If the nodes depend on each other in a circle.
        """
        walk = ctx.walk
        number = {id(scope): index for index, scope in enumerate(walk.scopes)}
        defined = [_defined(scope) for scope in walk.scopes]
        producer: dict[TensorKey, int] = {}
        for op in walk.ops:
            place = number[id(op.scope)]
            for name in op.node.output:
                if name:
                    producer.setdefault((place, name), op.id)
                    defined[place].add(name)
        parents = [number[id(scope.parent)] if scope.parent is not None else -1 for scope in walk.scopes]

        def home(place: int, name: str) -> int:
            found = place
            while found >= 0 and name not in defined[found]:
                found = parents[found]
            return place if found < 0 else found

        stored = {(place, name) for place, scope in enumerate(walk.scopes) for name in scope.initializer_names}
        edges: list[tuple[int, int, dict[str, str]]] = []
        readers: dict[TensorKey, list[int]] = {}
        inputs: list[list[TensorKey]] = []
        for op in walk.ops:
            place = number[id(op.scope)]
            keys = [(home(place, name), name) for name in op.node.input if name]
            inputs.append(keys)
            for key in keys:
                maker = producer.get(key)
                if maker is None:
                    readers.setdefault(key, []).append(op.id)
                else:
                    edges.append((maker, op.id, {"tensor": key[1]}))
        for place, scope in enumerate(walk.scopes):
            if scope.owner is None:
                continue
            for name in scope.output_names:
                maker = producer.get((home(place, name), name))
                if maker is not None and maker != scope.owner.id:
                    edges.append((maker, scope.owner.id, {"tensor": name}))
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(walk.ops)))
        graph.add_edges_from(edges)
        try:
            order = list(nx.topological_sort(graph))
        except nx.NetworkXUnfeasible:
            raise FileFormatError(f"the nodes read each other in a circle, among them {_on_circle(ctx, graph)}") from None
        return Flow(graph, order, producer, stored, readers, inputs)


def _defined(scope: Scope) -> set[str]:
    """Names that a scope defines by itself: inputs and stored tensors."""
    return {*scope.input_names, *scope.initializer_names}


def _on_circle(ctx: Context, graph: nx.DiGraph[int]) -> str:
    circle = nx.find_cycle(graph)
    return ctx.ops[circle[0][0]].label
