"""Nodes that carry annotations, and read nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

FLOATS = onnx.TensorProto.FLOAT


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOATS, [2, 3])


def annotated(node: onnx.NodeProto, annotation: str) -> onnx.NodeProto:
    if annotation:
        node.metadata_props.add(key="layer_ann", value=annotation)
    return node


def model_of(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], functions: Sequence[onnx.FunctionProto] = ()
) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(one.domain, 1) for one in functions)]
    graph = helper.make_graph(list(nodes), "g", [value("x")], [value(name) for name in outputs])
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=10)


def beside(annotations: Sequence[str]) -> onnx.ModelProto:
    """A node for each annotation, ``n0`` and so on, all of which read the input."""
    nodes = [
        annotated(helper.make_node("Add", ["x", "x"], [f"t{k}"], f"n{k}"), text) for k, text in enumerate(annotations)
    ]
    return model_of(nodes, [f"t{k}" for k in range(len(annotations))])


LAYERS = ot.HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("embed", "Embed"),
        ModuleRow("layers", "ModuleList", tagged=False, keyed=True),
        *(ModuleRow(f"layers.{k}", "Layer") for k in range(3)),
        *(ModuleRow(f"layers.{k}.fc", "Linear") for k in range(3)),
        ModuleRow("head", "Head"),
    ]
)


def chain(*, also: bool = True) -> onnx.ModelProto:
    """A node of each module, one behind the other; ``layers.1`` reads what ``embed`` makes, too."""
    paths = ["embed", *(f"layers.{k}{part}" for k in range(3) for part in ("", ".fc")), "head", ""]
    nodes = []
    last = "x"
    for path in paths:
        name = path or "root"
        node = helper.make_node("Add", [last, "embed" if path == "layers.1" else last], [name], name)
        tag = LAYERS.tag(path, ot.Source.EXPORTED)
        ot.write_tag(node, tag)
        nodes.append(annotated(node, f"{tag.tag}/" if also else ""))
        last = name
    return model_of(nodes, ["root"])
