"""Five nodes as TorchScript names them, the map of their modules, and how a command line is run in a test."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow

Run = Callable[..., tuple[int, str, str]]


TREE = HierarchyMap.from_rows(
    [ModuleRow("", "Tiny"), ModuleRow("encoder", "Encoder"), ModuleRow("encoder.linear", "Linear")], "a test"
)


def tiny_model(evil: str = "Constant_3") -> onnx.ModelProto:
    """Five nodes named as TorchScript names them; the name of the Constant says nothing."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], "/encoder/linear/MatMul"),
        helper.make_node("Add", ["xw", "b"], ["y"], "/encoder/linear/Add"),
        helper.make_node("Relu", ["y"], ["z"], "/encoder/Relu"),
        helper.make_node("Constant", [], ["shape"], evil, value=numpy_helper.from_array(np.array([4, 1]))),
        helper.make_node("Reshape", ["z", "shape"], ["out"], "/encoder/Reshape"),
    ]
    weights = [
        numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(2, 4), "w"),
        numpy_helper.from_array(np.ones(4, dtype=np.float32), "b"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [4, 1])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
