"""Small files to profile, with a map each: two blocks with products, a net with bodies, and one without names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

SIDE = 64
TREE = ot.HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("blocks", "ModuleList", tagged=False, keyed=True),
        ModuleRow("blocks.0", "Block"),
        ModuleRow("blocks.1", "Block"),
        ModuleRow("blocks.0.linear", "Linear"),
        ModuleRow("blocks.1.linear", "Linear"),
    ]
)


def blocks(rows: int | str = 8, *, tagged: bool = True, named: bool = True) -> onnx.ModelProto:
    """Two blocks of MatMul, Add and Relu, the second with a Transpose there and back around its Relu."""
    random = np.random.default_rng(0)
    nodes, stored, last = [], [], "x"
    for at in range(2):
        linear, block = f"blocks.{at}.linear", f"blocks.{at}"
        stored.append(numpy_helper.from_array(random.standard_normal((SIDE, SIDE)).astype(np.float32), f"w{at}"))
        stored.append(numpy_helper.from_array(random.standard_normal(SIDE).astype(np.float32), f"b{at}"))
        steps = [
            ("MatMul", [last, f"w{at}"], linear),
            ("Add", [f"p{at}", f"b{at}"], linear),
            ("Relu", [f"s{at}"], block),
        ]
        for (op, inputs, path), output in zip(steps, (f"p{at}", f"s{at}", f"r{at}"), strict=True):
            node = helper.make_node(op, inputs, [output], f"{path}/{op}" if named else "")
            if tagged:
                ot.write_tag(node, TREE.tag(path, ot.Source.EXPORTED))
            nodes.append(node)
        last = f"r{at}"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, SIDE]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "blocks", values[:1], values[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def looping(times: int = 5) -> onnx.ModelProto:
    """A Loop that multiplies some times by a matrix, with names that repeat in its body, and a Neg behind it."""
    weight = np.eye(SIDE, dtype=np.float32)
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["v", "w"], ["v_out"], "same"),
            helper.make_node("Identity", ["going"], ["going_out"], "Identity"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [None, SIDE]),
        ],
        [
            helper.make_tensor_value_info("going_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.FLOAT, [None, SIDE]),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["n", "", "x"], ["y"], "loop", body=body),
        helper.make_node("Neg", ["y"], ["z"], "same"),
    ]
    stored = [
        numpy_helper.from_array(weight, "w"),
        numpy_helper.from_array(np.array(times, dtype=np.int64), "n"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [256, SIDE]) for name in "xz"]
    graph = helper.make_graph(nodes, "looping", values[:1], values[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path
