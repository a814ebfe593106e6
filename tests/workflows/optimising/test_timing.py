"""Ratios of files that are measured side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from examples.optimised import write_model
from onnx_tagger.runtime.settings import Setup
from onnx_tagger.workflows.optimising.timing import Clock


def test_a_file_beside_itself(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx")
    clock = Clock({"in0": np.zeros((4, 16), np.float32)}, 2, 3)
    first, second = clock.measure([(model, Setup()), (model, Setup(level="basic"))])
    assert first.speedups == []
    (ratio,) = second.speedups
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= ratio.mean <= ratio.high
    assert first.latency.mean > 0
    assert second.creation > 0
    memory = clock.memory(model, Setup())
    assert memory is None or memory > 0


def test_one_session_has_no_interval(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx")
    clock = Clock({"in0": np.zeros((4, 16), np.float32)}, 1, 1)
    found = clock.measure([(model, Setup())] * 2)[1]
    assert found.speedups[0].low is None
    assert found.latency.low is None
