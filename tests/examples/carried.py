"""A model of four nodes of two modules, with its weights, that other tools are run on."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

TREE = ot.HierarchyMap.from_rows(
    [ModuleRow("", "Tiny"), ModuleRow("encoder", "Encoder"), ModuleRow("encoder.linear", "Linear")], "a test"
)


def tiny_model() -> onnx.ModelProto:
    """MatMul and Add of `encoder.linear`, Relu and Reshape of `encoder`."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], "/encoder/linear/MatMul"),
        helper.make_node("Add", ["xw", "b"], ["y"], "/encoder/linear/Add"),
        helper.make_node("Relu", ["y"], ["z"], "/encoder/Relu"),
        helper.make_node("Reshape", ["z", "shape"], ["out"], "/encoder/Reshape"),
    ]
    weights = [
        numpy_helper.from_array(np.arange(512, dtype=np.float32).reshape(2, 256), "w"),
        numpy_helper.from_array(np.ones(256, dtype=np.float32), "b"),
        numpy_helper.from_array(np.array([256, 1]), "shape"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [256, 1])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def values_of(model: onnx.ModelProto) -> dict[str, bytes]:
    return {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in model.graph.initializer}
