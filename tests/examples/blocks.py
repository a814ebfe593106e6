"""Small models of torch that make tagging hard, and the tags that an export put into its file."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(self.block(x)) + 1
        for block in self.blocks:
            x = block(x)
        return x


class Hard(nn.Module):
    """Nested reuse, a child called from outside its parent, a Sequential iterated by hand, a direct `.forward()`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Stage()
        self.second = Stage()
        self.odd = nn.ModuleDict({"a/b": nn.Linear(4, 4), "50%": nn.Linear(4, 4)})
        self.row = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Sequential(nn.Linear(4, 4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.first(x))
        x = self.second.blocks[1](x)
        x = self.odd["50%"](self.odd["a/b"](x))
        for module in self.row:
            x = module(x)
        return self.second.block.linear.forward(x) * 2


def tags_of(path: Path, *types: str) -> list[tuple[str, ot.Tag]]:
    found = []
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        if not types or op.node.op_type in types:
            found.append((op.node.op_type, tag))
    return found
