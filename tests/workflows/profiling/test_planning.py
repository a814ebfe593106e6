"""How many sessions there are."""

from __future__ import annotations

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.profiling import planning
from onnx_tagger.workflows.profiling.planning import Plan


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def sessions(monkeypatch: pytest.MonkeyPatch, asked: int | None, *seconds: float) -> int:
    """How many sessions there are if each takes so long, the last time standing for all others, too."""
    clock = Clock()
    monkeypatch.setattr(planning, "time", clock)
    count = 0
    for turn in Plan(asked).turns():
        clock.now += seconds[min(turn, len(seconds) - 1)]
        count += 1
    return count


def test_as_many_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sessions(monkeypatch, 1, 0.01) == 1
    assert sessions(monkeypatch, 7, 100.0) == 7


def test_as_many_as_take_a_few_seconds_if_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sessions(monkeypatch, None, 9.0, 0.5) == 10
    assert sessions(monkeypatch, None, 0.01) == 20
    assert sessions(monkeypatch, None, 30.0) == 5


def test_a_plan_that_measures_nothing() -> None:
    with pytest.raises(TaggerError, match="0 sessions measure nothing; ask for one or more"):
        Plan(0)
    with pytest.raises(TaggerError, match="0 runs measure nothing"):
        Plan(runs=0)
