"""A net of three blocks, with a mask that all of them read, a tied weight, and a tensor that goes past a block."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

TREE = ot.HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("embed", "Embed"),
        ModuleRow("blocks", "ModuleList", tagged=False, keyed=True),
        *(ModuleRow(f"blocks.{k}", "Block") for k in range(3)),
        ModuleRow("late", "Mask"),
        ModuleRow("head", "Head"),
    ]
)

# Name, module, operator, inputs: `late` makes a mask that the first block reads, as modules that come later may.
ROWS = [
    ("scale", "blocks.0", "Exp", ["one"]),
    ("embed", "embed", "MatMul", ["x", "w"]),
    ("mask", "late", "Abs", ["x"]),
    *(
        row
        for k, last in enumerate(["embed", "b0", "b1"])
        for row in [
            (f"m{k}", f"blocks.{k}", "Mul", [last, "scale"]),
            (f"a{k}", f"blocks.{k}", "Add", [f"m{k}", "mask"]),
            (f"b{k}", f"blocks.{k}", "Tanh", [f"a{k}"]),
        ]
    ),
    ("skip", "head", "Add", ["b2", "embed"]),
    ("y", "head", "MatMul", ["skip", "w"]),
]


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4, 4])


def net(*, tagged: bool = True) -> onnx.ModelProto:
    nodes = []
    for name, module, op, inputs in ROWS:
        node = helper.make_node(op, inputs, [name], name)
        if tagged:
            ot.write_tag(node, TREE.tag(module, ot.Source.EXPORTED))
        nodes.append(node)
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((4, 4)).astype(np.float32), "w"),
        numpy_helper.from_array(np.float32([0.5]), "one"),
    ]
    graph = helper.make_graph(nodes, "net", [value("x")], [value("y")], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
