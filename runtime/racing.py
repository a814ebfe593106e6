"""Two files raced on the same inputs, run by run in turn, so that a busy machine slows down both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.runtime.machine import timed
from onnx_tagger.runtime.settings import Setup

_WARM_UP = 3

# How often the median may lie outside of its interval.
_DOUBT = 0.01

# Two sessions of one file are apart by so much: where their weights lie in memory makes a difference.
_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Race:
    """Times of two files.

    Attributes
    ----------
    before, after : float
        Median time of a run in microseconds.
    ratio : float
        Median of the second's time as a share of the first's, run by run.
    low, high : float
        Bounds of the median's interval of 99 % confidence.
    """

    before: float
    after: float
    ratio: float
    low: float
    high: float

    __repr__ = brief_fields

    @property
    def faster(self) -> bool:
        """Whether the second one is faster by more than two sessions of one file may be apart."""
        return self.high < 1 - _MARGIN


def _rank(count: int) -> int:
    """How many of some sorted values lie outside the interval of the median on either side.

    Examples
    --------
    >>> _rank(20), _rank(5)
    (3, 0)
    """
    total, rank = 0.0, 0
    while rank < count // 2:
        total += comb(count, rank) / 2**count
        if 2 * total > _DOUBT:
            break
        rank += 1
    return max(rank - 1, 0)


def race(first: Path, second: Path, feeds: tuple[Mapping[str, object], Mapping[str, object]], runs: int = 20) -> Race:
    """Run two files in turn, optimised as onnxruntime does by default, in one thread.

    Parameters
    ----------
    first, second : Path
    feeds : tuple of two mappings
        Input name to values, of each.
    runs : int

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If one does not run.
    """
    require("onnxruntime", "ort", "measuring")
    times: list[list[float]] = []
    try:
        sessions = [Setup(threads=1).session(path) for path in (first, second)]
        given = [
            {value.name: feed[value.name] for value in session.get_inputs()}
            for session, feed in zip(sessions, feeds, strict=True)
        ]
        for session, feed in zip(sessions, given, strict=True):
            timed(session, feed, _WARM_UP)  # type: ignore[arg-type]
        for _ in range(runs):
            # There and back, so that neither always runs behind the other.
            around = [timed(sessions[k], given[k], 1)[0] for k in (0, 1, 1, 0)]  # type: ignore[arg-type]
            times.append([(around[0] + around[3]) / 2, (around[1] + around[2]) / 2])
    except TaggerError:
        raise
    except Exception as error:
        raise TaggerError(f"{second}: does not run: {first_sentence(error)}; see the tool's options") from error
    found = np.asarray(times)
    shares = np.sort(found[:, 1] / found[:, 0])
    rank = _rank(len(shares))
    low, middle, high = float(shares[rank]), float(np.median(shares)), float(shares[-1 - rank])
    before, after = (float(value) for value in np.median(found, axis=0))
    return Race(before, after, middle, low, high)
