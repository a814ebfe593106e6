"""Which nodes only compute sizes, positions and axes for others, and no data."""

from __future__ import annotations

from onnx_tagger.model.graph import Scope
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow, TensorKey
from onnx_tagger.passes.analyses.saved import SavedIndex
from onnx_tagger.passes.base import Analysis, Context

# Inputs from which an operator takes sizes, positions and axes, but no data.
_SIZES = {
    "ConstantOfShape": (0,),
    "CumSum": (1,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
}


def size_inputs(op_type: str) -> tuple[int, ...]:
    """The positions of the inputs from which an operator takes sizes, positions and axes, but no data."""
    return _SIZES.get(op_type, ())


class OnlySizes(Analysis[list[bool]]):
    """Which ops only work out sizes for others: all their readers take them as such, or only work out sizes, too.

    What a graph or a body gives back is data.
    """

    requires = (DataFlow,)

    def compute(self, ctx: Context) -> list[bool]:
        """Go over the ops once, backwards."""
        ops, flow = ctx.ops, ctx.get(DataFlow)
        found = [False] * len(ops)
        # Sizes alone are read of a tensor unless one reader takes it by another input.
        data, read = _given(ctx, flow), set[TensorKey]()
        for index in reversed(flow.order):
            keys, made = flow.inputs[index], flow.outputs[index]
            if data.isdisjoint(made) and not read.isdisjoint(made):
                found[index] = True
                read.update(keys)
            elif (sizes := size_inputs(ops[index].node.op_type)) and keys:
                places = [place for place, name in enumerate(ops[index].node.input) if name]
                for place, key in zip(places, keys, strict=True):
                    (read if place in sizes else data).add(key)
            else:
                data.update(keys)
        return found


def _given(ctx: Context, flow: Flow) -> set[TensorKey]:
    """What graphs and bodies give back, where it is made: a body may give back a tensor from around it."""
    scopes = ctx.walk.scopes
    number = {id(scope): place for place, scope in enumerate(scopes)}
    found: set[TensorKey] = set()
    for scope in scopes:
        for name in scope.output_names:
            around: Scope | None = scope
            while around is not None and (number[id(around)], name) not in flow.producer:
                around = around.parent
            found.add((number[id(around if around is not None else scope)], name))
    return found


class Idle(Analysis[list[bool]]):
    """Which ops compute no data: they make constants of constants, or work out sizes."""

    requires = (DataFlow, OnlySizes)

    def compute(self, ctx: Context) -> list[bool]:
        """Go over the ops once, forwards."""
        flow, found = ctx.get(DataFlow), list(ctx.get(OnlySizes))
        # What bodies read from around them is no input of their owner.
        owners = {scope.owner.id for scope in ctx.walk.scopes if scope.owner is not None}
        constants = set(flow.stored)
        for index in flow.order:
            keys = flow.inputs[index]
            of_constants = bool(keys) and constants.issuperset(keys) and index not in owners
            if of_constants or ctx.ops[index].node.op_type == "Constant":
                found[index] = True
                constants.update(flow.outputs[index])
        return found


def saved_idle(index: SavedIndex) -> list[bool]:
    """Which nodes of a saved graph compute no data; as `Idle`, its nodes being in topological order."""
    graph, found = index.graph, _saved_constants(index)
    data, read, captured = set(graph.outputs), set[str](), index.captured
    for place in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[place]
        # A missing input or output has no name.
        if data.isdisjoint(node.outputs) and not read.isdisjoint(filter(None, node.outputs)):
            found[place] = True
            read.update(index.reads(place))
        elif sizes := _SIZES.get(node.op, ()):
            for slot, name in enumerate(index.reads(place)):
                (read if slot in sizes else data).add(name)
            data.discard("")
        else:
            data.update(index.reads(place) if captured else node.inputs)
            data.discard("")
    return found


def _saved_constants(index: SavedIndex) -> list[bool]:
    # A missing input is none that could be else.
    made, found = {*index.graph.initializers, ""}, []
    for place, node in enumerate(index.graph.nodes):
        of_constants = made.issuperset(node.inputs) and any(node.inputs) and place not in index.captured
        constant = node.op == "Constant" or of_constants
        found.append(constant)
        if constant:
            made.update(node.outputs)
    return found
