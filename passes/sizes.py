"""Which nodes only work out sizes, places and axes for others, and compute no data."""

from __future__ import annotations

from onnx_tagger.graph import Scope
from onnx_tagger.passes.base import Analysis, Context
from onnx_tagger.passes.index import DataFlow, Flow, TensorKey
from onnx_tagger.passes.saved import SavedIndex

# Inputs by which an operator is told sizes, places and axes, and no data.
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
    """The input positions at which an operator is told sizes, places and axes, and no data."""
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
        given = _given(ctx, flow)
        # Sizes alone are read of a tensor unless one reader takes it by another input.
        data: set[TensorKey] = set()
        for index in reversed(flow.order):
            op = ops[index]
            made = [(flow.place[index], name) for name in op.node.output if name]
            found[index] = bool(flow.graph.succ[index]) and not any(key in data or key in given for key in made)
            if not found[index]:
                sizes = size_inputs(op.node.op_type)
                places = [place for place, name in enumerate(op.node.input) if name]
                data.update(key for place, key in zip(places, flow.inputs[index], strict=True) if place not in sizes)
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
        flow, sizes = ctx.get(DataFlow), ctx.get(OnlySizes)
        # What bodies read from around them is no input of their owner.
        owners = {scope.owner for scope in ctx.walk.scopes}
        constant = [False] * len(ctx.ops)
        for index in flow.order:
            keys, op = flow.inputs[index], ctx.ops[index]
            made = (
                key in flow.stored or ((maker := flow.producer.get(key)) is not None and constant[maker])
                for key in keys
            )
            constant[index] = op.node.op_type == "Constant" or (bool(keys) and op not in owners and all(made))
        return [one or other for one, other in zip(constant, sizes, strict=True)]


def saved_idle(index: SavedIndex) -> list[bool]:
    """Which nodes of a saved graph compute no data; as `Idle`, its nodes being in topological order."""
    graph, found = index.graph, _saved_constants(index)
    data, read = set(graph.outputs), set[str]()
    for place in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[place]
        made = [name for name in node.outputs if name]
        only = any(name in read for name in made) and not any(name in data for name in made)
        found[place] = found[place] or only
        reads = index.reads(place)
        read.update(filter(None, reads))
        if not only:
            sizes = size_inputs(node.op)
            data.update(name for slot, name in enumerate(reads) if name and slot not in sizes)
    return found


def _saved_constants(index: SavedIndex) -> list[bool]:
    made, found = set(index.graph.initializers), []
    for place, node in enumerate(index.graph.nodes):
        read = [name for name in node.inputs if name]
        of_constants = bool(read) and place not in index.captured and all(name in made for name in read)
        found.append(node.op == "Constant" or of_constants)
        made.update(name for name in node.outputs if name and found[-1])
    return found
