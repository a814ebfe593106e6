"""Nodes that do the work of operations that torch put into others."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Tag, own_tag, props_of


def _tags(path: Path) -> dict[str, Tag]:
    """Tag of each node, by its first output."""
    found = {}
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        found[op.node.output[0]] = tag
    return found


class Padded(nn.Module):
    """Padding that torch fuses into the convolution of a child."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(nn.functional.pad(x, (1, 1, 1, 1))).relu()


class Pads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Padded()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x.reshape(x.shape))


def test_padding_that_a_convolution_took_in_is_an_origin(tmp_path: Path) -> None:
    exported = ot.export(Pads(), (torch.randn(1, 2, 5, 5),), tmp_path / "m.onnx", strategy="fx")
    model = onnx.load(exported.path)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    tags = list(_tags(exported.path).values())
    assert [tag.modules for tag in tags] == [("block", "block.conv"), ("block",)]


class Parallel(nn.Module):
    """Two equal norms of one tensor, of which the exporter keeps one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.LayerNorm(4), nn.LayerNorm(4)
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.left(self.one(x)) + self.right(self.two(x))


def test_a_node_that_stands_for_two_equal_operations_has_both_origins(tmp_path: Path) -> None:
    exported = ot.export(Parallel(), (torch.randn(2, 3, 4),), tmp_path / "m.onnx", strategy="fx")
    found = {op.node.op_type: own_tag(props_of(op.node)) for op in walk(onnx.load(exported.path)).ops}
    norm = found["LayerNormalization"]
    assert norm is not None
    assert (norm.module, norm.origins) == ("", ("one", "two"))
    matmuls = [own_tag(props_of(n)) for n in onnx.load(exported.path).graph.node if n.op_type == "MatMul"]
    assert [tag.modules for tag in matmuls if tag is not None] == [("left",), ("right",)]


class CutTwice(nn.Module):
    """Two activations behind each other that cut off the same, of which the exporter makes one node."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.first, self.second = nn.Linear(4, 4), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(self.linear(x)))


def test_activations_that_were_made_one_are_both_its_origins(tmp_path: Path) -> None:
    exported = ot.export(CutTwice(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx")
    assert [node.op_type for node in onnx.load(exported.path).graph.node] == ["Gemm", "Relu"]
    assert list(_tags(exported.path).values())[-1].origins == ("first", "second")


class CellTwice(nn.Module):
    """A recurrent layer twice on one input, of which the exporter keeps one call."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(x)[0] * torch.sigmoid(self.cell(x)[0])


def test_merged_calls_of_a_recurrent_layer_are_no_work_of_their_reader(tmp_path: Path) -> None:
    exported = ot.export(CellTwice(), (torch.randn(2, 3, 4),), tmp_path / "m.onnx", strategy="fx")
    model = onnx.load(exported.path)
    assert [node.op_type for node in model.graph.node].count("GRU") == 1
    tags = _tags(exported.path)
    for node in model.graph.node:
        if node.op_type in ("Sigmoid", "Mul"):
            assert tags[node.output[0]].modules == ("",), node.name


class Twofold(nn.Module):
    """Returns one value twice."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.sin(x)
        return y, y


def test_what_copies_a_value_that_is_returned_twice_is_the_roots_own(tmp_path: Path) -> None:
    exported = ot.export(Twofold(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx")
    assert exported.report.by_source["root"] == 0
    assert exported.report.by_source["exported"] == exported.report.nodes == 2
