"""A small model with two bodies and a function, its module tree and its map; and changes of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import operator, walk
from onnx_tagger.model.metadata import Source

TREE = HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("a", "A"),
        ModuleRow("a.x", "Linear"),
        ModuleRow("a.y", "Linear"),
        ModuleRow("b", "B"),
    ]
)


MODULES = ["a.x", "a.x", "a", "a.y", "b", "b", "a.x"]


def values(names: str) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, 1, [1]) for name in names.split()]


def exported() -> onnx.ModelProto:
    """Make a model that passes the checker: a chain, two bodies and a function; `MODULES` are its nodes' modules."""
    branches = {
        name: helper.make_graph(
            [helper.make_node(op, ["s"], [f"{name}_out"], f"{name}_node")], name, [], values(f"{name}_out")
        )
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    either = helper.make_node("If", ["cond"], ["i"], "if")
    either.attribute.extend(helper.make_attribute(name, branch) for name, branch in branches.items())
    nodes = [
        helper.make_node("Mul", ["in", "w"], ["m"], "mul"),
        helper.make_node("Add", ["m", "w"], ["s"], "add"),
        either,
        helper.make_node("act", ["i"], ["out"], "call", domain="my"),
    ]
    function = helper.make_function(
        "my", "act", ["p"], ["r"], [helper.make_node("Relu", ["p"], ["r"], "relu")], [helper.make_opsetid("", 20)]
    )
    inputs = [*values("in"), helper.make_tensor_value_info("cond", onnx.TensorProto.BOOL, [])]
    graph = helper.make_graph(nodes, "g", inputs, values("out"), [helper.make_tensor("w", 1, [1], [2.0])])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("my", 1)]
    return helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=10)


def map_of(made: onnx.ModelProto) -> HierarchyMap:
    nodes = [
        SavedNode(
            op.scope.name,
            op.node.name,
            operator(op.node),
            tuple(op.node.input),
            tuple(op.node.output),
            TREE.tag(path, Source.EXPORTED),
        )
        for op, path in zip(walk(made).ops, MODULES, strict=True)
    ]
    return HierarchyMap(TREE.modules, (), SavedGraph(nodes, ("in", "cond"), ("out",), {"w": ()}), "test")


def change(path: Path, how: Callable[[onnx.ModelProto], object], name: str = "changed.onnx") -> Path:
    """Write a changed copy beside a file."""
    made = onnx.load(path)
    how(made)
    onnx.save(made, path.with_name(name))
    return path.with_name(name)


def nodes(path: Path) -> list[onnx.NodeProto]:
    return [op.node for op in walk(onnx.load(path)).ops]


def modules(path: Path) -> list[str | None]:
    return [metadata.props_of(node).get(metadata.MODULE) for node in nodes(path)]


def winml_only(made: onnx.ModelProto) -> None:
    for op, path in zip(walk(made).ops, MODULES, strict=True):
        tag = TREE.tag(path, Source.MATCHED)
        metadata.add_entries(op.node, [(metadata.WINML_TAG, tag.tag), (metadata.WINML_DEPTH, str(tag.tag.count("/")))])


def torch_only(made: onnx.ModelProto) -> None:
    for op, path in zip(walk(made).ops, MODULES, strict=True):
        chain = TREE.chain(path)
        metadata.add_entries(
            op.node,
            [
                (metadata.TORCH_SCOPES, repr([*chain, "op_1"])),
                (metadata.TORCH_CLASSES, repr([*(f"lib.{TREE.by_path[p].class_name}" for p in chain), "aten.op"])),
            ],
        )
