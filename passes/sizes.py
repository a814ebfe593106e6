"""Which nodes only work out sizes, places and axes for others, and compute no data."""

from __future__ import annotations

from onnx_tagger.passes.base import Analysis, Context
from onnx_tagger.passes.index import DataFlow, TensorKey

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


class OnlySizes(Analysis[list[bool]]):
    """Which ops only work out sizes for others: all their readers take them as such, or only work out sizes, too.

    What a graph or a body gives back is data.
    """

    requires = (DataFlow,)

    def compute(self, ctx: Context) -> list[bool]:
        """Go over the ops once, backwards."""
        ops, flow = ctx.ops, ctx.get(DataFlow)
        found = [False] * len(ops)
        given = {(flow.place[op.id], name) for op in ops for name in op.scope.output_names}
        # Sizes alone are read of a tensor unless one reader takes it by another input.
        data: set[TensorKey] = set()
        for index in reversed(flow.order):
            op = ops[index]
            made = [(flow.place[index], name) for name in op.node.output if name]
            found[index] = bool(flow.graph.succ[index]) and not any(key in data or key in given for key in made)
            if not found[index]:
                sizes = _SIZES.get(op.node.op_type, ())
                places = [place for place, name in enumerate(op.node.input) if name]
                data.update(key for place, key in zip(places, flow.inputs[index], strict=True) if place not in sizes)
        return found
