"""What a run makes, operation by operation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from onnx_tagger.exporters.truth.judging import observe
from onnx_tagger.exporters.truth.observed import Observation


class Part(nn.Module):
    """Writes into a part of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.layer(x)
        made[:, 1:3] += 2
        return made.t() * 3


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_a_write_through_a_view_makes_a_new_version() -> None:
    model, x = Part(), torch.randn(3, 6)
    seen = observe(model, (x,), {})
    product = next(one for one in seen if one.operator == "mul")
    read = reached(seen, product)
    assert {"addmm", "add_"} <= {one.operator for one in read}
    assert product.values is not None
    assert np.allclose(product.values, model(x).detach().numpy())
    before = next(one for one in seen if one.operator == "addmm")
    assert not any(one.values is not None and np.array_equal(one.values, before.values) for one in read[:1])


def reached(seen: Sequence[Observation], end: Observation) -> list[Observation]:
    """What an observation was made of, nearest first."""
    found, queue = [], list(end.inputs)
    while queue:
        one = seen[queue.pop(0)]
        found.append(one)
        queue.extend(one.inputs)
    return found


def test_data_is_told_from_weights() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(x) + self.weight.exp() * x

    by_name = {one.operator: one for one in observe(Scaled(), (torch.randn(2, 4),), {})}
    assert not by_name["exp"].data
    assert not by_name["zeros_like"].data
    assert by_name["mul"].data
    assert by_name["add"].data
