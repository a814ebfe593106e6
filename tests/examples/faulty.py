"""A small model of torch whose exported file is spoiled in one module, and what the file's tags say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

import onnx_tagger as ot
from onnx_tagger.model.metadata import tag_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.act, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop(self.down(self.act(self.up(self.norm(x * 2.0)))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def net() -> tuple[Net, tuple[torch.Tensor]]:
    """The model, with weights of which no two are equal, and its input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Net().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model, (torch.randn(2, 5, 8),)


def spoiled(source: Path, target: Path, module: str, factor: float = 1.05) -> str:
    """Write a file in which a weight of a module is off, and return the id of the node that reads it."""
    model = onnx.load(source)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for place, node in enumerate(model.graph.node):
        tag = tag_of(node)
        name = next((n for n in node.input if n in stored and np.prod(stored[n].dims) > 4), None)
        if tag is not None and tag.module == module and name is not None:
            array = numpy_helper.to_array(stored[name]) * np.float32(factor)
            stored[name].CopyFrom(numpy_helper.from_array(array.astype(np.float32), name))
            onnx.save(model, target)
            return f"main#{place} {node.op_type}"
    raise AssertionError(f"no node of {module!r} reads a weight")


def file_of(*nodes: onnx.NodeProto, **weights: np.ndarray) -> onnx.ModelProto:
    """Nodes between the float input `x` and the output `out`."""
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 4]) for name in ("x", "out")]
    stored = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(list(nodes), "net", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def tagged(
    node: onnx.NodeProto, module: str, origins: tuple[str, ...] = (), call: tuple[str, ...] = ()
) -> onnx.NodeProto:
    """A node with the tag of a module whose class is called as its last part."""
    parts = module.split(".") if module else []
    tag = "/".join(["/Net", *(f"{part.upper()}.{part}" for part in parts)])
    ot.write_tag(node, ot.Tag(module, tag, ot.Source.EXPORTED, origins, call))
    return node
