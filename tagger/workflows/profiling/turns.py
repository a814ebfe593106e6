"""Sessions of several ways to run a model, whose runs take turns, so that a busy machine slows down all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from onnx_tagger.model.texts import brief_fields

if TYPE_CHECKING:
    from onnx_tagger.runtime.events import Recording
    from onnx_tagger.runtime.feeds import Array
    from onnx_tagger.runtime.profiles import Subject
    from onnx_tagger.runtime.settings import Setup
    from onnx_tagger.workflows.profiling.tagging import Optimised

T = TypeVar("T")


@dataclass
class Measured:
    """What was measured of one way to run a model, session by session.

    Attributes
    ----------
    setup : Setup
    latencies : list of float
        Microseconds of a run without the profiler.
    ratios : list of float
        Logarithm of the latency over that of the first way, run by run in the same round.
    creations : list of float
        Seconds that making a session took.
    recordings : list of Recording
        With the profiler.
    optimised : Optimised or None
        The model as it ran.
    peak : float or None
        Bytes that were held at most where each result has its own memory; None if that was not measured.
    """

    setup: Setup
    latencies: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    creations: list[float] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    optimised: Optimised | None = None
    peak: float | None = None

    __repr__ = brief_fields


def turned(ways: Sequence[T], turn: int) -> list[T]:
    """All ways, each time another one first."""
    at = turn % len(ways)
    return [*ways[at:], *ways[:at]]


def by_turns(ways: Sequence[tuple[Measured, Subject]], feeds: Mapping[str, Array], runs: int, turn: int) -> None:
    """One session of each way without the profiler; their runs take turns.

    Parameters
    ----------
    ways : sequence of (Measured, Subject)
        What takes the times, and the file that is run; ratios are over the first.
    feeds : mapping
    runs : int
        How many count.
    turn : int
        How many sessions of each there have been.
    """
    from onnx_tagger.runtime.machine import timed
    from onnx_tagger.runtime.profiles import PERCENTILE, WARM_UP

    sessions = []
    for way, subject in turned(ways, turn):
        start = time.perf_counter()
        sessions.append((way, subject.session(way.setup)))
        way.creations.append(time.perf_counter() - start)
    times: dict[int, list[float]] = {id(way): [] for way, _ in ways}
    for _, session in sessions:
        timed(session, feeds, WARM_UP)
    for run in range(runs):
        for way, session in sessions if run % 2 else reversed(sessions):
            times[id(way)] += timed(session, feeds, 1)
    base = np.log(times[id(ways[0][0])])
    for way, _ in ways:
        way.latencies.append(float(np.percentile(times[id(way)], PERCENTILE)))
        way.ratios.append(float(np.median(np.log(times[id(way)]) - base)))
