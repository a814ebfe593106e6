"""A model of torch that calls a module twice, one without its own call, and one never."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return torch.relu(self.linear(x)) * scale


class Reused(nn.Module):
    """`twice` runs twice, `direct.linear` without its module's call, `idle` never."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = Block()
        self.alias = self.twice
        self.direct = Block()
        self.blocks = nn.ModuleList([Block()])
        self.idle = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.twice(self.twice(x), scale=2.0)
        x = self.direct.linear.forward(x)
        return self.blocks[0](x)


X = torch.randn(2, 4)
