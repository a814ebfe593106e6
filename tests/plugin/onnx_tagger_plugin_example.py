"""A pass from another distribution: it numbers the nodes of one operator type.

`retag --pass count-ops:op=Gemm` finds it by its entry point; nothing in onnx-tagger knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx

from onnx_tagger.passes.base import Context, Pass, Touches

SEEN = "example.seen"


@dataclass(frozen=True)
class CountOps(Pass):
    """Write onto each node of one operator type the how-manieth of its type it is.

    Parameters
    ----------
    op : str
        Operator type to count, such as ``MatMul``.
    """

    name: ClassVar[str] = "count-ops"
    touches: ClassVar[Touches] = Touches.METADATA

    op: str = "MatMul"

    def run(self, ctx: Context) -> int:
        """Number the nodes from 1 in the order of the walk, and return how many entries changed."""
        nodes = (op.node for op in ctx.ops if op.node.op_type == self.op)
        return sum(_set_entry(node, SEEN, str(number)) for number, node in enumerate(nodes, start=1))


def _set_entry(node: onnx.NodeProto, key: str, value: str) -> bool:
    """Give a metadata entry its value and say whether that changed the node; keys stay unique."""
    entry = next((entry for entry in node.metadata_props if entry.key == key), None)
    if entry is None:
        entry = node.metadata_props.add(key=key)
    elif entry.value == value:
        return False
    entry.value = value
    return True
