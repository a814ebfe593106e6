"""How much is measured: sessions, runs, and what else is looked at. Who measures is `measuring`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.arguments import insist_on
from onnx_tagger.model.texts import brief_fields

# Where nobody says how many sessions: as many as take so many seconds, within bounds. It goes by the time that one
# takes and never by what is measured, so that chance has no say in when to stop.
_SECONDS, _FEWEST, _MOST = 5.0, 5, 20


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    sessions : int or None
        Sessions of each kind; None for as many as take a few seconds, 5 at least and 20 at most.
    runs : int
        Runs in each that count.
    roofline, memory : bool
        Count operations and bytes, and what is held at the peak.
    seed : int
        Of random inputs.
    """

    sessions: int | None = None
    runs: int = 30
    roofline: bool = False
    memory: bool = False
    seed: int = 0

    __repr__ = brief_fields

    def __post_init__(self) -> None:
        asked = {"sessions": _FEWEST if self.sessions is None else self.sessions, "runs": self.runs}
        for name, value in asked.items():
            insist_on(value, int, f"the number of {name}", "a whole number")
            if value < 1:
                raise TaggerError(f"{value} {name} measure nothing; ask for one or more")

    def turns(self) -> Iterator[int]:
        """The numbers of the sessions; how many they are is known when the second has run, the first being slower."""
        count = self.sessions or _FEWEST
        turn = 0
        while turn < count:
            start = time.perf_counter()
            yield turn
            if turn == 1 and self.sessions is None:
                count = max(_FEWEST, min(_MOST, int(_SECONDS / (time.perf_counter() - start))))
            turn += 1
