"""A small file, its map, and the same file as a tool changed it that gives names to other tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

TREE = ot.HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(path, path.upper()) for path in "abc")])


def model(*nodes: onnx.NodeProto, open_dims: bool = False) -> onnx.ModelProto:
    """Nodes between a float input `x`, a mask `m` and the output `out`, with a weight `w`."""
    rows: str | int = "rows" if open_dims else 3
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4]),
        helper.make_tensor_value_info("m", TensorProto.INT64, [rows, 4]),
    ]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [rows, 4])]
    weight = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)
    graph = helper.make_graph(list(nodes), "net", inputs, outputs, [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def exported(open_dims: bool = False) -> onnx.ModelProto:
    """MatMul and Relu of `a`, Cast and Mul of `b`, Sigmoid of `c`."""
    return model(
        helper.make_node("MatMul", ["x", "w"], ["xw"], "first"),
        helper.make_node("Relu", ["xw"], ["r"], "second"),
        helper.make_node("Cast", ["m"], ["mf"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["r", "mf"], ["p"], "third"),
        helper.make_node("Sigmoid", ["p"], ["out"], "fourth"),
        open_dims=open_dims,
    )


def renaming(open_dims: bool = False) -> onnx.ModelProto:
    """What a tool makes that fuses the MatMul and hands its name to the Relu, as a quantiser does."""
    return model(
        helper.make_node("MatMul", ["x", "w"], ["fresh"], "new_1"),
        helper.make_node("Relu", ["fresh"], ["xw"], "new_2"),
        helper.make_node("Cast", ["m"], ["r"], "new_3", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["xw", "r"], ["p"], "third"),
        helper.make_node("Sigmoid", ["p"], ["out"], "fourth"),
        open_dims=open_dims,
    )


def saved(made: onnx.ModelProto, name: str) -> Path:
    onnx.save(made, name)
    return Path(name)
