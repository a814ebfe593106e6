"""A net whose block's result leaves it and comes back, one with shape arithmetic, and one with a fused node."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

TREE = ot.HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(name, name.title()) for name in ("a", "b", "c"))])


def model(rows: Sequence[tuple[str, str, str, list[str]]], *, outputs: str = "y", dims: tuple[object, ...] = (4, 4)):  # type: ignore[no-untyped-def]
    """A model of nodes: module, or several parted by ``+``, operator, output, inputs."""
    nodes = []
    for modules, op, name, inputs in rows:
        node = helper.make_node(op, inputs, [name], name)
        paths = modules.split("+")
        tag = TREE.tag(paths[0], ot.Source.EXPORTED)
        if len(paths) > 1:
            root = TREE.tag("", ot.Source.EXPORTED)
            tag = ot.Tag("", root.tag, ot.Source.EXPORTED, tuple(sorted(paths)))
        ot.write_tag(node, tag)
        nodes.append(node)
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(dims)) for name in ("x", outputs)]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def looped() -> onnx.ModelProto:
    """What `a` computes comes back to it through `b`."""
    return model(
        [
            ("a", "Exp", "a0", ["x"]),
            ("b", "Tanh", "b0", ["a0"]),
            ("a", "Add", "a1", ["a0", "b0"]),
            ("c", "Abs", "y", ["a1"]),
        ]
    )


def shaped() -> onnx.ModelProto:
    """The shape of what `a` computes comes back to it through `b`."""
    return model(
        [
            ("a", "Exp", "a0", ["x"]),
            ("b", "Shape", "b0", ["a0"]),
            ("a", "Reshape", "a1", ["a0", "b0"]),
            ("c", "Abs", "y", ["a1"]),
        ],
        dims=("n", 4),
    )


def fused() -> onnx.ModelProto:
    """A node does the work of `a` and `b`."""
    return model([("a", "Exp", "a0", ["x"]), ("a+b", "Tanh", "f", ["a0"]), ("c", "Abs", "y", ["f"])])
