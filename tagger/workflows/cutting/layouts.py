"""Tensors in onnxruntime's blocked layout (NCHWc), and the nodes that turn them into plain ones at a border."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.splitting.maingraph import MainGraph

BLOCKED = "com.microsoft.nchwc"

# What a part calls the blocked form of a tensor at its border.
_SUFFIX = "__blocked"


def blocked_tensors(graph: MainGraph, nodes: Sequence[onnx.NodeProto]) -> frozenset[str]:
    """The tensors of a main graph that are in the blocked layout: made by its operators, or from such tensors."""
    if all(node.domain != BLOCKED for node in nodes):
        return frozenset()
    found: set[str] = set()
    for index in graph.order:
        node = nodes[index]
        if node.domain == BLOCKED:
            found.update(graph.makes[index] if node.op_type != "ReorderOutput" else ())
        elif any(name in found for name in node.input):
            found.update(graph.makes[index])  # onnxruntime lets only elementwise operators read them so
    return frozenset(found)


def inside_name(name: str) -> str:
    """What a part calls the blocked form of a tensor at its border."""
    return name + _SUFFIX


def to_blocked(plain: str, blocked: str) -> onnx.NodeProto:
    """A node that brings a tensor into the blocked layout."""
    return helper.make_node("ReorderInput", [plain], [blocked], blocked, domain=BLOCKED)


def to_plain(blocked: str, plain: str, channels: int) -> onnx.NodeProto:
    """A node that brings a tensor out of the blocked layout."""
    return helper.make_node("ReorderOutput", [blocked], [plain], plain, domain=BLOCKED, channels=channels)


def channels_of(value: onnx.ValueInfoProto) -> int:
    """How many channels a tensor has.

    Raises
    ------
    TaggerError
        If its type does not say so.
    """
    dims = value.type.tensor_type.shape.dim
    if len(dims) < 2 or not dims[1].dim_value:
        raise TaggerError(f"the number of channels of {value.name!r}, which has the blocked layout, is not known")
    return int(dims[1].dim_value)
