"""How fast tries are, measured by turns in fresh sessions: ratios with intervals, and what a run holds at its peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_tagger.measures.optimising.optimised import Interval
from onnx_tagger.measures.student import estimate
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.workflows.profiling.measuring import scratch
from onnx_tagger.workflows.profiling.turns import Measured, by_turns

if TYPE_CHECKING:
    from onnx_tagger.runtime.feeds import Array
    from onnx_tagger.runtime.settings import Setup

# Runs under the profiler that tell what is held: shapes do not change from run to run.
_FEW = 2


@dataclass(frozen=True)
class Timed:
    """What was measured of one way to run a file.

    Attributes
    ----------
    latency : Interval
        Microseconds of a run.
    speedups : list of Interval
        How many times as fast as each of the ways before it that were measured with it.
    creation : float
        Seconds that making a session took, the least of all.
    """

    latency: Interval
    speedups: list[Interval]
    creation: float

    __repr__ = brief_fields


@dataclass(frozen=True)
class Clock:
    """How tries are measured.

    Parameters
    ----------
    feeds : dict
        What all of them are run on.
    sessions, runs : int
        Fresh sessions of each, and runs in each session.
    """

    feeds: dict[str, Array]
    sessions: int
    runs: int

    __repr__ = brief_fields

    def measure(self, ways: Sequence[tuple[Path, Setup]], *, sessions: int | None = None) -> list[Timed]:
        """Measure ways to run files side by side.

        Parameters
        ----------
        ways : sequence of (path, Setup)
        sessions : int, optional
            Fresh sessions of each, if not as many as always.

        Raises
        ------
        TaggerError
            If one of them is not loaded.
        """
        from onnx_tagger.runtime.profiles import Subject

        subjects = {path: Subject(path) for path, _ in ways}
        found = [Measured(setup) for _, setup in ways]
        pairs = [(each, subjects[path]) for each, (path, _) in zip(found, ways, strict=True)]
        for turn in range(sessions or self.sessions):
            by_turns(pairs, self.feeds, self.runs, turn)
        return [
            Timed(
                _interval(each.latencies),
                [_ratio(before.ratios, each.ratios) for before in found[:place]],
                min(each.creations),
            )
            for place, each in enumerate(found)
        ]

    def memory(self, path: Path, setup: Setup) -> int | None:
        """Bytes of results that are held at the peak of a run, if the profiler tells."""
        from onnx_tagger.runtime.profiles import Subject, profiled

        with scratch() as folder:
            peak = profiled(Subject(path), setup, self.feeds, _FEW, folder, facts=True).recording.peak
        return None if peak is None else int(peak)


def _interval(values: Sequence[float]) -> Interval:
    found = estimate(values)
    if found.half is None:
        return Interval(found.mean)
    return Interval(found.mean, found.mean - found.half, found.mean + found.half)


def _ratio(before: Sequence[float], after: Sequence[float]) -> Interval:
    """How many times as fast the second is, session by session: both are logarithms over one and the same."""
    found = _interval([a - b for a, b in zip(before, after, strict=True)])
    if found.low is None or found.high is None:
        return Interval(exp(found.mean))
    return Interval(exp(found.mean), exp(found.low), exp(found.high))
