"""Models with stored tensors, and entries that are put onto their skeletons and taken off again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_tagger.files import onnxfile
from onnx_tagger.files.wire import varint


def model_with(*tensors: onnx.TensorProto) -> onnx.ModelProto:
    names = [tensor.name for tensor in tensors]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"], name=f"n_{name}") for name in names]
    outputs = [
        helper.make_tensor_value_info(f"{tensor.name}_out", tensor.data_type, list(tensor.dims)) for tensor in tensors
    ]
    graph = helper.make_graph(nodes, "g", [], outputs, list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def floats(name: str, count: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(0).random(count, dtype=np.float32), name)


def tag(skeleton: onnxfile.Skeleton, value: str = "/A/B") -> None:
    for node in skeleton.model.graph.node:
        node.metadata_props.add(key="pkg.onnx_tagger.tag", value=value)
    skeleton.model.metadata_props.add(key="pkg.onnx_tagger.version", value="1")


def untag(skeleton: onnxfile.Skeleton) -> None:
    for holder in (skeleton.model, *skeleton.model.graph.node):
        for index in reversed(range(len(holder.metadata_props))):
            if holder.metadata_props[index].key.startswith("pkg.onnx_tagger."):
                del holder.metadata_props[index]


def sparse_file(path: Path, size: int) -> bytes:
    """Write a model whose only tensor is a hole of `size` bytes; return the bytes before the hole."""
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[size]).SerializeToString()
    tensor += b"\x4a" + varint(size)
    node = onnx.NodeProto(op_type="Identity", input=["w"], output=["y"]).SerializeToString()
    graph = b"\x0a" + varint(len(node)) + node + b"\x2a" + varint(len(tensor) + size) + tensor
    head: bytes = b"\x08\x0a\x3a" + varint(len(graph) + size) + graph
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    return head
