"""What is measured: real models at their real size with random weights, and graphs of any number of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.map import Module, SavedGraph
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source

_PER_BLOCK = 10


def resnet50() -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    return ResNetModel(ResNetConfig()).eval(), {"pixel_values": torch.randn(1, 3, 224, 224)}


def bert(hidden: int = 768, layers: int = 12) -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": 4 * hidden}
    config = BertConfig(num_attention_heads=hidden // 64, **sizes)
    mask = torch.ones(1, 128, dtype=torch.long)
    return BertModel(config).eval(), {"input_ids": torch.randint(0, 30000, (1, 128)), "attention_mask": mask}


Build = Callable[[], tuple[Any, dict[str, Any]]]

EXPORTED: dict[str, Build] = {"ResNet-50": resnet50, "BERT-base": bert, "BERT-large": lambda: bert(1024, 24)}


@dataclass(frozen=True)
class Subject:
    """A file without tags, and the map that it is tagged from."""

    name: str
    path: Path
    map_path: Path
    nodes: int

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def exported(name: str, folder: Path) -> Subject:
    """Export a real model; the file has its names and nothing of ours."""
    model, kwargs = EXPORTED[name]()
    path = folder / f"{name}.onnx"
    made = ot.export(model, (), path, kwargs=kwargs, strategy="fx")
    ot.strip(path, path, in_place=True)
    return Subject(name, path, made.map_path, made.report.nodes)


def tree(blocks: int) -> list[Module]:
    """A root with so many blocks of two linear layers each."""
    found = [Module("", "Net", "/Net", None, 0, 1)]
    for block in range(blocks):
        path, tag = f"blocks.{block}", f"/Net/Block.{block}"
        found.append(Module(path, "Block", tag, "", 3 * block + 1, 1))
        for at, name in enumerate(("up", "down")):
            found.append(Module(f"{path}.{name}", "Linear", f"{tag}/Linear.{name}", path, 3 * block + 2 + at, 1))
    return found


def nodes(blocks: int) -> Iterator[tuple[str, list[str], str]]:
    """Operator, inputs and output of every node: two linear layers, an activation and shape arithmetic a block."""
    last = "x"
    for block in range(blocks):
        at = f"block_{block}"
        yield "MatMul", [last, "w"], f"{at}/up/MatMul"
        yield "Add", [f"{at}/up/MatMul", "b"], f"{at}/up/Add"
        yield "Shape", [f"{at}/up/Add"], f"{at}/Shape"
        yield "Gather", [f"{at}/Shape", "i"], f"{at}/Gather"
        yield "Abs", [f"{at}/Gather"], f"{at}/Abs"
        yield "Reshape", [f"{at}/up/Add", f"{at}/Abs"], f"{at}/Reshape"
        yield "Relu", [f"{at}/Reshape"], f"{at}/Relu"
        yield "MatMul", [f"{at}/Relu", "w"], f"{at}/down/MatMul"
        yield "Add", [f"{at}/down/MatMul", "b"], f"{at}/down/Add"
        last = f"{at}/out"
        yield "Add", [f"{at}/down/Add", f"{at}/Relu"], last


def module_of(index: int) -> str:
    """Whose a node of `nodes` is."""
    block, place = divmod(index, _PER_BLOCK)
    return f"blocks.{block}" + {0: ".up", 1: ".up", 7: ".down", 8: ".down"}.get(place, "")


def graph(count: int, weights: int = 0) -> onnx.ModelProto:
    """A model of so many nodes with the names that an exporter gives, and bytes of weights that nobody reads."""
    blocks = max(1, count // _PER_BLOCK)
    made = [helper.make_node(kind, inputs, [out], f"node_{out}") for kind, inputs, out in nodes(blocks)]
    small = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    stored = [
        numpy_helper.from_array(small, "w"),
        numpy_helper.from_array(small[0], "b"),
        numpy_helper.from_array(np.array([0, 1]), "i"),
    ]
    for number, size in enumerate([1 << 26] * (weights >> 26)):
        stored.append(TensorProto(name=f"stored_{number}", data_type=1, dims=[size >> 2], raw_data=bytes(size)))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])]
    outputs = [helper.make_tensor_value_info(made[-1].output[0], TensorProto.FLOAT, [1, 4])]
    whole = helper.make_graph(made, "g", inputs, outputs, stored)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def map_of(model: onnx.ModelProto) -> ot.HierarchyMap:
    """The map that an export of such a model would leave."""
    walked = walk(model)
    bare = ot.HierarchyMap(tuple(tree(len(walked.ops) // _PER_BLOCK)), created_by="benchmark")
    tags = {path: bare.tag(path, Source.EXPORTED) for path in {module_of(op.id) for op in walked.ops}}
    saved = SavedGraph.of(walked, [tags[module_of(op.id)] for op in walked.ops])
    return ot.HierarchyMap(bare.modules, graph=saved, created_by="benchmark")


def made(count: int, folder: Path) -> Subject:
    """Write a model of so many nodes and its map."""
    model = graph(count)
    path = folder / f"graph-{count}.onnx"
    onnx.save(model, path)
    map_path = folder / f"graph-{count}.hierarchy.json"
    map_of(model).save(map_path)
    return Subject(f"{count} nodes", path, map_path, len(model.graph.node))
