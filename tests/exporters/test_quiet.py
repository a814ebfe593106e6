"""What torch prints and logs does not reach our streams; what the model prints does."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.exporters.quiet import torch_quiet


class Branch(nn.Module):
    """No exporter that looks at all ways can do it; torch prints the graph so far, and logs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("said by the model")
        y = self.linear(x)
        return y if y.sum() > 0 else -y


def test_a_failed_attempt_is_a_note_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = ot.export(Branch(), (torch.randn(2, 4),), tmp_path / "m.onnx")
    said = capfd.readouterr()
    assert made.report.strategy == "htp"
    assert said.err == ""
    assert set(said.out.splitlines()) == {"said by the model"}


def test_debug_lets_it_through(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ot.TaggerError):
        ot.export(Branch(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx", debug=True)
    assert "def forward(self, arg0_1" in capfd.readouterr().err


def test_streams_and_levels_are_put_back() -> None:
    before = sys.stdout, sys.stderr
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    with torch_quiet():
        assert logger.level == logging.CRITICAL
        kept = sys.stderr
    assert (sys.stdout, sys.stderr) == before
    assert logger.level == level
    assert kept.isatty() == sys.stderr.isatty(), "who holds the stream can go on with it"


def test_a_stream_that_was_put_in_its_place_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with torch_quiet():
        sys.stdout = sys.__stdout__
    assert sys.stdout is sys.__stdout__
