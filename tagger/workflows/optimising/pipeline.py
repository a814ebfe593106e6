"""The pipeline: each trial is made, tagged, proved and measured, then kept, held for later stages, or dropped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import contained
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.globs import under
from onnx_tagger.measures.optimising.choosing import ORIGINAL
from onnx_tagger.measures.optimising.optimised import Change, Interval, Outcome, Try
from onnx_tagger.model.graph import operator
from onnx_tagger.model.texts import brief_fields, counted
from onnx_tagger.workflows.carrying import carry
from onnx_tagger.workflows.comparing import compare
from onnx_tagger.workflows.optimising.saved import WorkFolder
from onnx_tagger.workflows.optimising.stages import Stage, Trial
from onnx_tagger.workflows.optimising.timing import Clock, Timed
from onnx_tagger.workflows.reading import Tagged, read

if TYPE_CHECKING:
    from onnx_tagger.runtime.settings import Setup

Metric = Callable[[Path], float]
Progress = Callable[[str], None]

# Modules whose number of nodes changed most that a report names.
_MOST_CHANGED = 5
# How many of what was tried are measured once more at the end.
_FINALISTS = 4


@dataclass
class Pipeline:
    """One run over the stages.

    Parameters
    ----------
    source : Path
        The file that is optimised.
    work : WorkFolder
    clock : Clock
    setup : Setup
        How the original is run.
    inputs : mapping
        What proofs are run on; see `compare`.
    metric : callable, optional
        Path of a file to a number, the higher the better.
    keep : sequence of str
        Patterns of modules whose nodes must stay as they are.
    tell : callable
    """

    source: Path
    work: WorkFolder
    clock: Clock
    setup: Setup
    inputs: Mapping[str, object]
    metric: Metric | None = None
    keep: Sequence[str] = ()
    tell: Progress = lambda _: None
    tries: list[Try] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)

    __repr__ = brief_fields

    def run(self, stages: Sequence[Stage]) -> None:
        """Try all stages; what came of it is in `tries`."""
        current, _ = self.work.do(ORIGINAL, lambda _: self._original())
        self.tries.append(current)
        held: Try | None = None
        for stage in stages:
            best, waiting = current, held
            for base in (current, held) if held is not None else (current,):
                for trial in stage.trials:
                    found = self._tried(stage, trial, base, current)
                    self.tries.append(found)
                    if found.outcome == "kept" and _mean(found) > (_mean(best) if best is not current else 0.0):
                        best = found
                    elif found.outcome == "held" and (waiting is held or _mean(found) > _mean(waiting)):
                        waiting = found
            # What a kept try has left behind is built on no more.
            current, held = best, waiting if best is current else None

    def finals(self, names: Sequence[str]) -> dict[str, Interval]:
        """The speed-ups of some tries and the original, all measured side by side in twice as many sessions."""
        by_name = {each.id: each for each in self.tries}
        order = [ORIGINAL, *(name for name in names if name != ORIGINAL)]
        timed = self.clock.measure([self._way(by_name[name]) for name in order], sessions=2 * self.clock.sessions)
        return {
            name: each.speedups[0] if each.speedups else Interval(1.0, 1.0, 1.0)
            for name, each in zip(order, timed, strict=True)
        }

    def finalists(self) -> list[str]:
        """The tries that may be chosen: the fastest of all, of those that lose nothing, and of single tools."""
        usable = [each for each in self.tries if each.usable]
        fastest = sorted(usable, key=lambda each: -_mean(each))[:_FINALISTS]
        exact = sorted((each for each in usable if not each.drop), key=lambda each: -_mean(each))[:1]
        single = [each for each in sorted(usable, key=lambda each: -_mean(each)) if each.base == ORIGINAL][:1]
        return list(dict.fromkeys(each.id for each in (*fastest, *exact, *single)))

    def settled(self, winner: Try) -> list[Try]:
        """All tries with their last outcome: what the chosen one is built on is kept, nothing else is."""
        by_name = {each.id: each for each in self.tries}
        chain = [winner.id]
        while by_name[chain[-1]].base:
            chain.append(by_name[chain[-1]].base)
        found = []
        for each in self.tries:
            if each.id in chain[1:] and each.outcome == "held":
                found.append(
                    with_fields(each, outcome="kept", reason=f"no gain for sure, but {winner.id} builds on it")
                )
            elif each.id in chain:
                found.append(with_fields(each, outcome="kept"))
            elif each.outcome in ("kept", "held"):
                why = f"{each.reason.partition(';')[0]}; what was chosen does not build on it"
                found.append(with_fields(each, outcome="dropped", reason=why))
            else:
                found.append(each)
        return found

    def file_of(self, found: Try) -> Path:
        """The model of a try."""
        return self.work.folder / found.file if found.file else self.source

    def _way(self, found: Try) -> tuple[Path, Setup]:
        return self.file_of(found), self._setup(found.settings)

    def _setup(self, settings: Mapping[str, str]) -> Setup:
        more = {key: value for key, value in settings.items() if key != "level"}
        return replace(
            self.setup, level=settings.get("level", self.setup.level), settings={**self.setup.settings, **more}
        )

    def _original(self) -> Try:
        self.tell("the original")
        (timed,) = self.clock.measure([(self.source, self.setup)])
        return with_fields(
            Try(ORIGINAL, "", ORIGINAL, "", "kept", "the file as it was given"),
            size=size_of(self.source),
            **_counts(read(self.source)),
            latency=timed.latency,
            speedup=Interval(1.0, 1.0, 1.0),
            creation=timed.creation,
            memory=self.clock.memory(self.source, self.setup),
            drop=self._drop(self.source),
        )

    def _tried(self, stage: Stage, trial: Trial, base: Try, current: Try) -> Try:
        name = f"{stage.name}/{trial.name}" + (f"@{base.id}" if base.id != ORIGINAL else "")
        self.tell(name)
        blank = Try(name, stage.name, trial.name, base.id, "failed", "", settings={**base.settings, **trial.settings})
        found, _ = self.work.do(name, lambda place: self._try(trial, base, current, blank, place))
        return found

    def _try(self, trial: Trial, base: Try, current: Try, blank: Try, place: Path) -> Try:
        start = time.perf_counter()
        if trial.tool is not None:
            try:
                carry(self.file_of(base), place, trial.tool)
            except Exception as error:  # noqa: BLE001 - a tool may raise anything; the record says what
                return with_fields(blank, reason=f"the tool failed: {type(error).__name__}: {str(error)[:300]}")
        seconds = time.perf_counter() - start
        file = place.name if trial.tool is not None else base.file
        made = with_fields(blank, file=file, seconds=round(seconds, 3))
        before, after = read(self.file_of(base)), read(self.file_of(made))
        made = with_fields(made, size=size_of(self.file_of(made)), **_counts(after), changed=changes(before, after))
        if trial.tool is not None and _same_nodes(before, after):
            return with_fields(made, outcome="dropped", reason="left the nodes as they were")
        touched = self._touched(before, after)
        if touched is not None:
            return with_fields(made, outcome="dropped", reason=f"changes nodes of {touched!r}, which --keep protects")
        if trial.tool is not None and trial.exact:
            made = self._proved(made)
            if made.outcome == "dropped":
                return made
        return self._measured(made, current)

    def _proved(self, made: Try) -> Try:
        """With the outcome `dropped` if a module computes something else than in the original, or nobody can tell."""
        try:
            found = compare(self.source, self.file_of(made), self.inputs)
        except TaggerError as error:
            return with_fields(made, outcome="dropped", reason=f"it could not be proved: {error}")
        if found.ok:
            return made
        where = found.first_bad if found.first_bad else "(root)"
        others = len(found.bad) - 1
        more = f" and {counted(others, 'other module')}" if others > 0 else ""
        return with_fields(
            made, outcome="dropped", differs=where, reason=f"{where}{more} computes something else than the original"
        )

    def _measured(self, made: Try, current: Try) -> Try:
        ways = [(self.source, self.setup), self._way(current), self._way(made)]
        try:
            timed = self.clock.measure(ways)
            memory = self.clock.memory(*ways[-1])
        except TaggerError as error:
            return with_fields(made, outcome="failed", reason=str(error))
        last: Timed = timed[-1]
        speedup, gain = last.speedups
        outcome, reason = judged(gain)
        return with_fields(
            made,
            outcome=outcome,
            reason=reason,
            latency=last.latency,
            speedup=speedup,
            gain=gain,
            creation=last.creation,
            memory=memory,
            drop=self._drop(self.file_of(made)),
        )

    def _drop(self, path: Path) -> float | None:
        """By how much the metric is lower than for the original."""
        if self.metric is None:
            return None
        for each in (self.source, path):
            if str(each) not in self.scores:
                self.scores[str(each)] = float(self.metric(each))
        return self.scores[str(self.source)] - self.scores[str(path)]

    def _touched(self, before: Tagged, after: Tagged) -> str | None:
        """A module that must be kept and whose operators are others now."""
        if not self.keep:
            return None
        kept = under(before.modules, self.keep)
        old, new = (_by_module(each) for each in (before, after))
        return next((path for path in sorted(kept) if old.get(path) != new.get(path)), None)


def judged(gain: Interval) -> tuple[Outcome, str]:
    """What comes of a try by how many times as fast it is as what it started from.

    Examples
    --------
    >>> judged(Interval(1.2, 1.1, 1.3))[0], judged(Interval(1.0, 0.9, 1.1))[0], judged(Interval(0.8, 0.7, 0.9))[0]
    ('kept', 'held', 'dropped')
    """
    if gain.surely_above > 1:
        return "kept", f"x {gain.mean:.3f} as fast as before, for sure at least x {gain.surely_above:.3f}"
    if gain.surely_below < 1:
        return "dropped", f"slower for sure: at most x {gain.surely_below:.3f} as fast as before"
    return "held", "no gain for sure; it stays only if a later stage gains on top of it"


def with_fields(made: Try, **fields: object) -> Try:
    """The record with other fields."""
    return msgspec.structs.replace(made, **fields)


def size_of(path: Path) -> int:
    """Bytes of a model with its external data."""
    outside = set(read_skeleton(path).external)
    return path.stat().st_size + sum(contained(path.parent, name).stat().st_size for name in outside)


def changes(before: Tagged, after: Tagged) -> list[Change]:
    """The modules whose own number of nodes changed most."""
    old, new = ({path: sum(kinds.values()) for path, kinds in _by_module(each).items()} for each in (before, after))
    found = [Change(path, old.get(path, 0), new.get(path, 0)) for path in dict.fromkeys([*old, *new])]
    found = [each for each in found if each.before != each.after]
    return sorted(found, key=lambda each: (-abs(each.before - each.after), each.module))[:_MOST_CHANGED]


def _by_module(tagged: Tagged) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for op in tagged.context.ops:
        tag = tagged.context.tags.get(op)
        if tag is not None:
            found.setdefault(tag.module, Counter())[operator(op.node)] += 1
    return found


def _counts(tagged: Tagged) -> dict[str, object]:
    ops = tagged.context.ops
    kinds = Counter(operator(op.node) for op in ops)
    return {"nodes": len(ops), "tagged": len(tagged.context.tags), "operators": dict(kinds.most_common())}


def _same_nodes(before: Tagged, after: Tagged) -> bool:
    old, new = ([op.node for op in each.context.ops] for each in (before, after))
    return len(old) == len(new) and all(
        (a.op_type, list(a.input), list(a.output)) == (b.op_type, list(b.input), list(b.output))
        for a, b in zip(old, new, strict=True)
    )


def _mean(found: Try | None) -> float:
    return found.speedup.mean if found is not None and found.speedup is not None else 0.0
