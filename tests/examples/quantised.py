"""A small tagged net to quantise: two layers in a block, and a head whose weights do not take rounding well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source, write_node

ROWS = [
    ModuleRow("", "Net"),
    ModuleRow("block", "Block"),
    ModuleRow("block.up", "Linear"),
    ModuleRow("block.act", "ReLU"),
    ModuleRow("block.down", "Linear"),
    ModuleRow("head", "Linear"),
]
TREE = HierarchyMap.from_rows(ROWS, "a test")
WIDTH = 16


def net(path: Path) -> Path:
    """Save the net: MatMul, Relu, MatMul, and a MatMul of the head, one of whose weights is by far the largest."""
    chance = np.random.default_rng(0)
    weights = {name: chance.standard_normal((WIDTH, WIDTH)).astype(np.float32) for name in ("up", "down", "head")}
    weights["head"][0, 0] = 300.0
    nodes = [
        helper.make_node("MatMul", ["x", "up"], ["u"], "u"),
        helper.make_node("Relu", ["u"], ["r"], "r"),
        helper.make_node("MatMul", ["r", "down"], ["d"], "d"),
        helper.make_node("MatMul", ["d", "head"], ["y"], "y"),
    ]
    for node, module in zip(nodes, ("block.up", "block.act", "block.down", "head"), strict=True):
        write_node(node, TREE.tag(module, Source.EXPORTED), ())
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, WIDTH]) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def samples(count: int = 4) -> list[dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
    """Inputs of the net."""
    chance = np.random.default_rng(1)
    return [{"x": chance.standard_normal((2, WIDTH)).astype(np.float32)} for _ in range(count)]
