"""Changes of a request that let torch export a model that it refuses."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

import onnx_tagger as ot


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


class Wide(nn.Module):
    """Its second input has size 1 where the first is as wide as a weight, which torch cannot leave open."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + x * y


def test_a_dimension_of_size_1_that_cannot_stay_open_is_closed_and_told(tmp_path: Path) -> None:
    exported = ot.export(
        Wide(), (torch.randn(2, 4), torch.randn(2, 1)), tmp_path / "m.onnx", strategy="fx", dynamic=True
    )
    assert len(exported.report.fallbacks) == 1
    assert exported.report.fallbacks[0].startswith("fx: exported with dimensions of size 1 closed (y[1];")
    x, y = (
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in onnx.load(exported.path).graph.input
    )
    assert isinstance(x[0], str)
    assert y == [x[0], 1]


def test_a_dimension_of_size_1_stays_open_where_it_can(tmp_path: Path) -> None:
    exported = ot.export(Block(), (torch.randn(1, 4),), tmp_path / "m.onnx", strategy="fx", dynamic=True)
    assert exported.report.fallbacks == []
    assert onnx.load(exported.path).graph.input[0].type.tensor_type.shape.dim[0].dim_param
