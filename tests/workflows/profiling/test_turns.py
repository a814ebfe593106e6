"""Ways that take turns: each begins a round, and ratios are over the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from examples.optimised import write_model
from onnx_tagger.runtime.profiles import Subject
from onnx_tagger.runtime.settings import Setup
from onnx_tagger.workflows.profiling.turns import Measured, by_turns, turned


def test_each_way_is_first_in_its_turn() -> None:
    assert [turned("abc", turn) for turn in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_two_files_side_by_side(tmp_path: Path) -> None:
    subject = Subject(write_model(tmp_path / "m.onnx"))
    ways = [(Measured(Setup()), subject), (Measured(Setup("disable")), subject)]
    for turn in range(2):
        by_turns(ways, {"in0": np.zeros((4, 16), np.float32)}, 2, turn)
    for way, _ in ways:
        assert len(way.latencies) == len(way.ratios) == len(way.creations) == 2
    assert ways[0][0].ratios == [0.0, 0.0]
