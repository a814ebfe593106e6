"""The main graph node by node, with what bodies read counted at the node that owns them, and its constants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from onnx_tagger.model.texts import brief, counted
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context

# Operators whose value may be another one each time.
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "Multinomial", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Dropout"}
)


@dataclass(frozen=True)
class MainGraph:
    """The nodes of the main graph by their position in it.

    Attributes
    ----------
    order : list of int
        Positions in topological order.
    ids : list of int
        Op id of each node.
    reads, makes : list of list of str
        Tensors of the main graph that each node, or a body in it, reads and makes.
    producer : dict
        Tensor name to the position of the node that makes it.
    constant : set of int
        Nodes that compute the same whatever the inputs are, which can be copied to wherever they are needed.
    stored : frozenset of str
        Initializers.
    inputs, outputs : tuple of str
        Of the graph, without initializers that it lists as inputs.
    """

    order: list[int]
    ids: list[int]
    reads: list[list[str]]
    makes: list[list[str]]
    producer: dict[str, int]
    constant: set[int]
    stored: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __repr__(self) -> str:
        return brief(self, counted(len(self.ids), "node"), counted(len(self.constant), "constant"))

    def makers(self, node: int) -> Iterable[int]:
        """Positions of the nodes whose tensors a node reads."""
        return (self.producer[name] for name in self.reads[node] if name in self.producer)


def main_graph(ctx: Context) -> MainGraph:
    """Index the main graph of a model.

    Raises
    ------
    FileFormatError
        If the nodes depend on each other in a circle.
    """
    flow, graph = ctx.get(DataFlow), ctx.model.graph
    main = ctx.walk.scopes[0]
    position = {op.id: op.index for op in main.ops}
    top = [0] * len(ctx.ops)
    reads: list[dict[str, None]] = [{} for _ in main.ops]
    for op in ctx.ops:
        if op.scope.family != main.name:
            continue
        owner = op.scope.owner
        top[op.id] = op.index if owner is None else top[owner.id]
        reads[top[op.id]] |= dict.fromkeys(name for place, name in flow.inputs[op.id] if place == 0)
    for scope in ctx.walk.scopes[1:]:
        if scope.owner is not None and scope.family == main.name:
            # What a body gives back may be a tensor from around it, which no node in it reads.
            given = {*scope.input_names, *scope.initializer_names, *(n for op in scope.ops for n in op.node.output)}
            reads[top[scope.owner.id]] |= dict.fromkeys(name for name in scope.output_names if name not in given)
    makes = [[name for name in op.node.output if name] for op in main.ops]
    producer = {name: index for index, names in enumerate(makes) for name in names}
    stored = frozenset(tensor.name for tensor in graph.initializer)
    known = {*producer, *stored, *(value.name for value in graph.input)}
    order = [position[index] for index in flow.order if index in position]
    made = [[name for name in names if name in known] for names in reads]
    constant = _constants(order, made, producer, stored, [op.node for op in main.ops], ctx)
    inputs = tuple(value.name for value in graph.input if value.name not in stored)
    outputs = tuple(value.name for value in graph.output)
    return MainGraph(order, [op.id for op in main.ops], made, makes, producer, constant, stored, inputs, outputs)


def _constants(
    order: Iterable[int],
    reads: list[list[str]],
    producer: dict[str, int],
    stored: frozenset[str],
    nodes: list[onnx.NodeProto],
    ctx: Context,
) -> set[int]:
    """Nodes that read nothing but initializers and other constants, and are not random; calls and bodies are none."""
    owners = {scope.owner.index for scope in ctx.walk.scopes if scope.owner is not None and scope.depth == 1}
    given = {value.name for value in ctx.model.graph.output}
    found: set[int] = set()
    for index in order:
        node = nodes[index]
        if node.op_type in _RANDOM or index in owners or (node.domain not in ("", "ai.onnx", "com.microsoft")):
            continue
        if not given.isdisjoint(node.output):
            continue  # it is wanted once, by whoever runs the model
        if all(name in stored or producer.get(name) in found for name in reads[index]):
            found.add(index)
    return found
