"""What a run and an export leave of what a model's own code changes: nothing."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.exporters.capture import capture
from onnx_tagger.exporters.recording.kept import KeepingMode
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.sources.inputs import make_inputs
from onnx_tagger.exporters.sources.inputspec import InputSpec
from onnx_tagger.exporters.truth.judging import observe


class Changes(nn.Module):
    """Changes buffers in place and by name, in part, attributes, and what lists and dictionaries hold."""

    steps: torch.Tensor
    state: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("steps", torch.ones(4))
        self.register_buffer("state", torch.zeros(2, 4))
        self.register_buffer("part", torch.zeros(3, 4))
        self.loose = torch.zeros(4)
        self.held = [torch.zeros(4)]
        self.calls, self.past, self.last = 0, deque([1], maxlen=2), {"seen": False}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps.add_(1.0)
        self.part[1].add_(3.0)
        self.state = self.state * 0.5 + self.linear(x)
        if not torch.compiler.is_exporting():
            self.loose.add_(1)
            self.held[0].add_(1)
            self.calls += 1
            self.past.append(self.calls)
            self.last["seen"] = True
            self.new = random.random() + np.random.rand() + float(torch.rand(1))
        return self.state / self.steps + self.part.sum()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Changes()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def _state(model: nn.Module) -> dict[str, Any]:
    """All that a model holds, by value, and the state of what draws at random."""
    found: dict[str, Any] = {"random": random.getstate(), "torch": torch.random.get_rng_state().tolist()}
    found["numpy"] = str(np.random.get_state())
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            found[f"{path}.{name}"] = [(k, v.tolist() if isinstance(v, torch.Tensor) else repr(v)) for k, v in held]
            found[f"{path}.{name}"].append(value.tolist() if isinstance(value, torch.Tensor) else str(value))
    return found


X = torch.randn(2, 4)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model().eval()


def test_a_run_leaves_a_model_as_it_was(model: Model) -> None:
    before = _state(model)
    captured = capture(model, (X,))
    assert _state(model) == before
    digests = {p.name: p.digests for p in captured.hierarchy.parameters}
    assert digests == {p.name: p.digests for p in capture(model, (X,)).hierarchy.parameters}
    observe(model, (X,), {})
    assert _state(model) == before
    make_inputs(model, spec={"x": InputSpec(dtype="float32", shape=(2, 4))})
    assert _state(model) == before
    with torch.no_grad():
        model(X)
    assert _state(model) != before


def test_a_run_that_raises_leaves_a_model_as_it_was(model: Model) -> None:
    unfit, before = torch.randn(3, 4, 5), _state(model)
    with pytest.raises(ot.TaggerError):
        capture(model, (unfit,))
    assert _state(model) == before


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_file_holds_the_model_s_own_buffers(strategy: str, model: Model, tmp_path: Path) -> None:
    with torch.no_grad():
        model(X)
        before = _state(model)
        made = ot.export(model, (X,), tmp_path / "m.onnx", strategy=strategy)
    assert _state(model) == before
    with quiet_run(model):
        want = model(X).numpy()
    session = pytest.importorskip("onnxruntime").InferenceSession(made.path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: X.numpy()})[0], want, rtol=1e-5)


def test_a_lazy_module_stays_as_its_first_run_has_made_it() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    weights = {p.name: p.shape for p in capture(model, (X,)).hierarchy.parameters}
    assert weights == {"0.weight": (3, 4), "0.bias": (3,)}
    assert type(model[0]) is nn.Linear
    assert model(X).shape == (2, 3)


class Chooses(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda v: v + 1, lambda v: v - 1, (x,))


def test_control_flow_runs_while_tensors_are_kept() -> None:
    model = Chooses()
    with quiet_run(model) as kept, torch.compiler.set_stance("force_eager"), KeepingMode(kept):
        assert torch.equal(model(torch.ones(2)), torch.full((2,), 2.0))
