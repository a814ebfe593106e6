"""Two files raced on the same inputs, run by run in turn, so that a busy machine slows down both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.runtime.machine import timed
from onnx_tagger.runtime.settings import Setup

_WARM_UP = 3


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
        Quartiles of this share.
    """

    before: float
    after: float
    ratio: float
    low: float
    high: float

    __repr__ = brief_fields

    @property
    def faster(self) -> bool:
        """Whether the second one was faster in at least three quarters of the runs."""
        return self.high < 1


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
            times.append([timed(s, feed, 1)[0] for s, feed in zip(sessions, given, strict=True)])  # type: ignore[arg-type]
    except TaggerError:
        raise
    except Exception as error:
        raise TaggerError(f"{second}: does not run: {first_sentence(error)}; see the tool's options") from error
    found = np.asarray(times)
    shares = found[:, 1] / found[:, 0]
    low, middle, high = (float(value) for value in np.percentile(shares, (25, 50, 75)))
    before, after = (float(value) for value in np.median(found, axis=0))
    return Race(before, after, middle, low, high)
