"""What torch's newer exporter says nothing of: folded nodes, converted graphs, loops, inputs of size 1."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn
from torch._higher_order_ops.while_loop import while_loop

import onnx_tagger as ot
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Tag, own_tag, props_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


def _tags(path: Path) -> dict[str, Tag]:
    """Tag of each node, by its first output."""
    found = {}
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        found[op.node.output[0]] = tag
    return found


class Bags(nn.Module):
    """Torch writes a bag of embeddings with loops and choices; folding them leaves nodes without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.other, self.head = nn.EmbeddingBag(9, 4), nn.EmbeddingBag(9, 4, mode="sum"), nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.bag(ids) * self.other(ids))


@pytest.mark.parametrize("opset", [None, 17])
def test_nodes_that_the_folder_made_are_the_operations_that_they_lie_in(opset: int | None, tmp_path: Path) -> None:
    model, x = Bags(), (torch.randint(0, 9, (2, 5)),)
    exported = ot.export(model, x, tmp_path / "m.onnx", strategy="fx", opset=opset)
    assert exported.report.by_source["exported"] == exported.report.nodes, exported.report.by_source
    assert {tag.module for tag in _tags(exported.path).values()} == {"bag", "other", "head", ""}


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def more(count: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return count < 3

        def body(count: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return count + 1, self.step(state) + 1

        start = torch.zeros((), dtype=torch.int64)
        # torch leaves while_loop untyped
        _, out = while_loop(more, body, (start, x))  # type: ignore[no-untyped-call]
        return out


class Stepping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = Steps()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(self.steps(x) * 2)


def test_a_node_in_a_loop_is_of_no_single_call_in_it(tmp_path: Path) -> None:
    exported = ot.export(Stepping(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx")
    found = []
    for op in walk(onnx.load(exported.path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None
        if op.node.op_type in ("Loop", "Relu"):
            found.append((op.node.op_type, tag.module, tag.call))
    assert found == [
        ("Loop", "steps", ("steps@0",)),
        ("Relu", "steps.step", ("steps@0.step",)),
        ("Loop", "steps", ("steps@1",)),
        ("Relu", "steps.step", ("steps@1.step",)),
    ]
