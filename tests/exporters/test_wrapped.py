"""Models in peft's wrappers, and inputs and outputs that are `ModelOutput`s, by both strategies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import onnx_tagger as ot
from examples.blocks import tags_of

pytest.importorskip("onnxruntime")
peft = pytest.importorskip("peft")
outputs = pytest.importorskip("transformers.utils")

STRATEGIES = ("fx", "htp")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        x = self.down(torch.tanh(self.up(x)))
        return x if scale is None else x * scale


def _adapted() -> nn.Module:
    config = peft.LoraConfig(r=2, target_modules=["up", "down"], init_lora_weights=False)
    wrapped: nn.Module = peft.get_peft_model(Inner(), config)
    return wrapped.eval()


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_in_an_adapter_keeps_the_paths_that_the_wrapper_gives_it(
    strategy: str, dynamic: bool, tmp_path: Path
) -> None:
    args, kwargs = (torch.randn(2, 3, 4),), {"scale": torch.rand(4)}
    path = tmp_path / "m.onnx"
    made = ot.export(_adapted(), args, path, kwargs=kwargs, strategy=strategy, dynamic=dynamic)
    assert made.report.ok, made.report.failures
    assert made.report.compared is not None
    assert made.report.by_source["exported"] == made.report.nodes
    ran = {module for _, tag in tags_of(path) for module in tag.modules}
    for layer in ("up", "down"):
        at = f"base_model.model.{layer}"
        assert {f"{at}.base_layer", f"{at}.lora_A.default", f"{at}.lora_B.default"} <= ran


@dataclass
class Given(outputs.ModelOutput):  # type: ignore[misc,name-defined]
    """Two tensors, one of them perhaps missing."""

    x: torch.Tensor | None = None
    y: torch.Tensor | None = None


class Passes(nn.Module):
    """Takes a `ModelOutput`, and returns one that holds another one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, given: Given) -> Given:
        inner = self._mixed(given)
        return Given(x=self.other(inner.x), y=inner.y)

    def _mixed(self, given: Given) -> Given:
        return Given(x=torch.sin(self.one(given["x"])), y=given.y)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_model_outputs_go_in_and_out(strategy: str, tmp_path: Path) -> None:
    given = Given(x=torch.randn(2, 4), y=torch.randn(2, 4))
    made = ot.export(Passes(), (given,), tmp_path / "m.onnx", strategy=strategy)
    assert made.report.ok, made.report.failures
    assert made.report.compared is not None, made.report.fallbacks
    assert made.report.compared["outputs"] == 2
    assert {tag.module for _, tag in tags_of(made.path)} >= {"one", "", "other"}
