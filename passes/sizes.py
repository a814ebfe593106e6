"""Which nodes only work out sizes, places and axes for others, and compute no data."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_tagger.graph import Op
from onnx_tagger.passes.index import Flow

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


def only_sizes(ops: Sequence[Op], flow: Flow) -> list[bool]:
    """Which ops only work out sizes for others: all their readers take them as such, or only work out sizes, too."""
    found = [False] * len(ops)
    for index in reversed(flow.order):
        readers = flow.graph.succ[index]
        made = set(ops[index].node.output)
        found[index] = bool(readers) and all(found[reader] or _read_as_sizes(ops[reader], made) for reader in readers)
    return found


def _read_as_sizes(reader: Op, made: set[str]) -> bool:
    """Whether an op takes what another made by the inputs that tell it sizes alone."""
    sizes = _SIZES.get(reader.node.op_type, ())
    return all(position in sizes for position, name in enumerate(reader.node.input) if name in made)
