"""The command bench: phases and ratio of each strategy, and why one fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from onnx_tagger.cli import main
from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.sources.loading import load_source
from onnx_tagger.workflows.benchmarking import bench

Run = Callable[..., tuple[int, str, str]]


MODELS = """
import torch
from torch import nn


class Depends(nn.Module):
    def forward(self, x):
        return x.tanh() if x.sum() > 1e9 else x.sigmoid()


class Decomposed(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x) * torch.ones(8)[: min(x.shape)]


def plain():
    return nn.Sequential(nn.Linear(4, 8), nn.GELU()), (torch.randn(3, 4),)


def depends_on_values():
    return Depends(), (torch.randn(3, 4),)


def impossible():
    return Decomposed(), (torch.randn(3, 4),)
"""


PHASES = ["export", "load", "tracking", "digests", "mapping", "injection", "save", "other"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.py"
    path.write_text(MODELS, encoding="utf-8")
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], models: Path) -> Run:
    def call(name: str, *options: str) -> tuple[int, str, str]:
        code = main.run(["bench", f"{models}:{name}", *options])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_phases_and_ratio_of_each_strategy(run: Run) -> None:
    code, out, err = run("plain", "--rounds", "2", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [timing["strategy"] for timing in found] == ["fx", "htp"]
    for timing in found:
        seconds = {phase["name"]: phase["seconds"] for phase in timing["phases"]}
        assert list(seconds) == PHASES
        assert seconds["load"] == 0
        assert all(seconds[name] > 0 for name in ("export", "tracking", "digests", "mapping", "injection", "save"))
        assert timing["rounds"] == 2
        assert timing["nodes"] > 0
        assert timing["bare_seconds"] > 0
        assert timing["ratio"] >= timing["ratio_without_digests"] > 0


def test_one_strategy_fails(run: Run) -> None:
    code, out, _ = run("depends_on_values", "--rounds", "1")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["seconds", "fx", "htp"]
    assert lines[1].split()[:3] == ["tagged", "export", "-"]
    assert lines[-1].startswith("fx failed: ")


def test_no_strategy_works(models: Path) -> None:
    source = load_source(f"{models}:impossible")
    with pytest.raises(ExportError, match=r"the model cannot be exported: fx: .*; htp: "):
        bench(source.model, source.args, rounds=1)


def test_rounds_are_at_least_one(run: Run, models: Path) -> None:
    assert run("plain", "--rounds", "0")[0] == 2
    source = load_source(f"{models}:plain")
    with pytest.raises(TaggerError, match="0 rounds measure nothing"):
        bench(source.model, source.args, rounds=0)
