"""An optimisation as a record: every try of every stage, which were kept and why, and what was chosen.

`python -m onnx_tagger.measures.optimising.optimised` prints the JSON schema that ships with the package.
"""

from __future__ import annotations

import json
from os import PathLike
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.measures.optimising.file import read_record
from onnx_tagger.model.arguments import path_of
from onnx_tagger.model.texts import brief, counted

# What came of a try: part of the pipeline; no slower for sure, and kept for later stages to build on; or not.
Outcome = Literal["kept", "held", "dropped", "failed"]
Count = Annotated[int, Meta(ge=0)]


class Interval(Struct, frozen=True):
    """A ratio with its 95 % interval; `low` and `high` are None where one session alone says nothing of it."""

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def surely_above(self) -> float:
        """The largest number that it is above for sure."""
        return self.low if self.low is not None else float("-inf")

    @property
    def surely_below(self) -> float:
        """The smallest number that it is below for sure."""
        return self.high if self.high is not None else float("inf")


class Change(Struct, frozen=True):
    """A module and how many nodes it has itself, before and after."""

    module: str
    before: Count
    after: Count


class Try(Struct, frozen=True):
    """One thing that a stage tried.

    Attributes
    ----------
    id : str
        ``stage/name@base``; ``original`` is the file as it was given.
    stage, name : str
        The stage, and what it tried.
    base : str
        Id of the try that it starts from.
    outcome : "kept", "held", "dropped" or "failed"
    reason : str
        Why, in a sentence.
    file : str
        Its model in the work folder; empty if it failed.
    settings : dict
        How its session is made.
    seconds : float
        What making the model took.
    size : int
        Bytes of the model with its external data.
    nodes, tagged : int
        Of the model.
    operators : dict
        Operator to its number of nodes.
    changed : list of Change
        Modules whose number of nodes changed most.
    differs : str or None
        The first module that computes something else than the original, if one does.
    latency : Interval or None
        Microseconds of a run.
    speedup, gain : Interval or None
        How many times as fast as the original, and as the best one of the pipeline until then.
    creation : float
        Seconds that making a session took, the least of all sessions.
    memory : int or None
        Bytes of results that are held at the peak of a run.
    drop : float or None
        By how much the metric fell; None without a metric.
    """

    id: str
    stage: str
    name: str
    base: str
    outcome: Outcome
    reason: str
    file: str = ""
    settings: dict[str, str] = {}
    seconds: float = 0.0
    size: Count = 0
    nodes: Count = 0
    tagged: Count = 0
    operators: dict[str, int] = {}
    changed: list[Change] = []
    differs: str | None = None
    latency: Interval | None = None
    speedup: Interval | None = None
    gain: Interval | None = None
    creation: float = 0.0
    memory: int | None = None
    drop: float | None = None

    @property
    def usable(self) -> bool:
        """Whether it computes what the original does, or was let off by a metric, and was measured."""
        return self.outcome != "failed" and self.speedup is not None


class Targets(Struct, frozen=True):
    """What was asked for: times as fast at least, and the largest drop of the metric; None for no target."""

    speedup: float | None = None
    max_drop: float | None = None


class Optimized(Struct, frozen=True):
    """What `optimize` did.

    Attributes
    ----------
    model, output : str
        The files.
    ok : bool
        Whether all targets are met.
    chosen : str
        Id of the try whose model was written; ``original`` if none is better for sure.
    speedup : Interval
        Of what was chosen, measured once more beside all that were close.
    targets : Targets
    verdict : str
        What was chosen and why, or which target is missed and by what the nearest misses it.
    tries : list of Try
        In the order in which they were tried, the original first.
    finals : dict
        Id to speed-up in the last measurement.
    runtime : str
        What ran them.
    notes : list of str
        What a reader should know before trusting the numbers.

    Examples
    --------
    >>> first = Try("original", "", "original", "", "kept", "the file as it was given")
    >>> Optimized("a.onnx", "b.onnx", True, "original", Interval(1.0), Targets(), "nothing is faster", [first])
    <Optimized b.onnx, original, x1.00, 1 try>
    """

    model: str
    output: str
    ok: bool
    chosen: str
    speedup: Interval
    targets: Targets
    verdict: str
    tries: list[Try]
    finals: dict[str, Interval] = {}
    runtime: str = ""
    notes: list[str] = []
    format: Literal["onnx-tagger/optimisation"] = field(default="onnx-tagger/optimisation")
    version: Literal[1] = 1
    created_by: str = ""

    def __repr__(self) -> str:
        number = len(self.tries)
        tries = "1 try" if number == 1 else f"{number} tries"
        return brief(self, self.output, self.chosen, f"x{self.speedup.mean:.2f}", tries)

    @property
    def winner(self) -> Try:
        """The try that was chosen."""
        return next(each for each in self.tries if each.id == self.chosen)

    def to_json(self) -> str:
        """The report as JSON text, without a line break at its end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the report, whole or not at all.

        Raises
        ------
        TaggerError
            If the file cannot be written.
        """
        replace_file(path_of(path, "the report"), (self.to_json() + "\n").encode())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Optimized:
        """Read a report that `save` or ``--report`` wrote.

        Raises
        ------
        TaggerError
            If it cannot be read as one; the message says where it is wrong.
        """
        found = read_record(path, cls)
        if all(each.id != found.chosen for each in found.tries):
            raise TaggerError(
                f"{path}: what it chose, {found.chosen!r}, is none of its {counted(len(found.tries), 'record')}"
            )
        return found


def json_schema() -> str:
    """The JSON schema of the file, as it ships in ``optimisation.schema.json``."""
    return json.dumps(msgspec.json.schema(Optimized), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
