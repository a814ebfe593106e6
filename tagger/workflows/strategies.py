"""The strategies side by side on one model: what each costs, what it knows, and how much of that is right.

fx and htp export the model. usage is for whoever has a model and a file made elsewhere: a captured map, and a file in
which nothing speaks of modules. What auto would take is decided where it always is, in `exporters.select`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_tagger.errors import ExportError, one_line, require
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import walk
from onnx_tagger.model.report import Report
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.workflows import exporting, retagging
from onnx_tagger.workflows.checking import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

    from onnx_tagger.exporters.truth.judging import Judgement, Observation

USAGE = "usage"


@dataclass
class Outcome:
    """What one strategy came to.

    Attributes
    ----------
    strategy : str
        fx, htp or usage.
    file_by : str
        The strategy whose exporter wrote the file; for usage another's.
    report : Report or None
        Coverage and phases; None if the strategy cannot do this model.
    reason : str
        Why it cannot; empty if it can.
    judgement : Judgement or None
        The tags judged by execution, if that was asked for and the file could be run.
    unjudged : str
        Why the file could not be run.
    """

    strategy: str
    file_by: str
    report: Report | None = None
    reason: str = ""
    judgement: Judgement | None = None
    unjudged: str = ""

    __repr__ = brief_fields

    def as_dict(self) -> dict[str, object]:
        """The outcome as plain values; what does not apply is None."""
        return {
            "strategy": self.strategy,
            "file_by": self.file_by if self.report is not None else None,
            "reason": self.reason or None,
            "report": self.report.as_dict() if self.report is not None else None,
            "truth": _judgement_dict(self.judgement) if self.judgement is not None else None,
            "unjudged": self.unjudged or None,
        }


@dataclass(frozen=True)
class Comparison:
    """All strategies on one model.

    Attributes
    ----------
    outcomes : list of Outcome
        fx, htp, usage.
    auto : str
        What ``--strategy auto`` takes.
    order : tuple of str
        The strategies that it tries, in order.
    since : dict
        Those that it tried before and that failed, with the reason.
    """

    outcomes: list[Outcome]
    auto: str
    order: tuple[str, ...]
    since: dict[str, str]

    __repr__ = brief_fields

    def as_dict(self) -> dict[str, object]:
        """The comparison as plain values, for ``strategies --json``."""
        return {
            "strategies": [outcome.as_dict() for outcome in self.outcomes],
            "auto": {"strategy": self.auto, "order": list(self.order), "since": self.since},
        }


def compare(
    model: nn.Module,
    args: Sequence[object] | Tensor = (),
    *,
    kwargs: Mapping[str, object] | None = None,
    opset: int | None = None,
    dynamic: bool = False,
    truth: bool = False,
    progress: exporting.Progress | None = None,
) -> Comparison:
    """Run fx, htp and usage on a model, in a folder that is removed at the end.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes; a tensor alone is the only positional argument.
    opset : int, optional
        ONNX opset version.
    dynamic : bool
        Leave the dimensions of tensor inputs open.
    truth : bool
        Judge the tags by running the model and each file.
    progress : callable, optional
        Told strategy and phase as each begins.

    Returns
    -------
    Comparison

    Raises
    ------
    ExportError
        If no strategy can export the model, or it raises on these inputs.
    MissingExtraError
        If torch is missing, or onnxruntime and `truth` is asked for.
    """
    require("torch", "torch", "comparing strategies")
    if truth:
        require("onnxruntime", "ort", "truth by execution")
    from onnx_tagger.exporters.select import ORDER

    tell = progress or exporting.nothing_to_tell
    inputs = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    tell("load the exporters")
    load_exporters()
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        trial = _Trial(model, inputs, dict(kwargs or {}), opset, dynamic, Path(folder), tell)
        trial.run_model(truth)
        outcomes = [trial.exported(name) for name in ORDER]
        auto, since = _decision(outcomes)
        outcomes.append(trial.used())
    return Comparison(outcomes, auto, ORDER, since)


def without_metadata(source: Target, target: Target) -> None:
    """Copy a file as a program that knows of no modules would have written it: no metadata, no doc strings.

    Names stay as they are. External weights are linked where the file system can do that.
    """
    skeleton = read_skeleton(source)
    for op in walk(skeleton.model).ops:
        del op.node.metadata_props[:]
        op.node.ClearField("doc_string")
    del skeleton.model.metadata_props[:]
    write_spliced(skeleton, target, link=True)


@cache
def load_exporters() -> None:
    """Export something small, once, so that what an exporter loads on first use is no cost of the model's."""
    from onnx_tagger.exporters.select import ORDER, smallest

    model, args = smallest()
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        for name in ORDER:
            # An exporter that does not work at all says so when it is given the model.
            with suppress(ExportError):
                exporting.export(model, args, Path(folder) / f"{name}.onnx", strategy=name, compare=False)


def _decision(outcomes: Sequence[Outcome]) -> tuple[str, dict[str, str]]:
    """What auto takes, given how its strategies fared, and why those before it failed."""
    from onnx_tagger.exporters.select import first_that_works

    found = {outcome.strategy: outcome for outcome in outcomes}

    def replay(name: str) -> Outcome:
        if found[name].reason:
            raise ExportError(found[name].reason)
        return found[name]

    taken, _, since = first_that_works("auto", replay)
    return taken, since


@dataclass
class _Trial:
    """One model, on which the strategies are run one after another."""

    model: nn.Module
    args: tuple[object, ...]
    kwargs: dict[str, object]
    opset: int | None
    dynamic: bool
    folder: Path
    tell: exporting.Progress
    usage: Report = field(default_factory=Report)
    captured: HierarchyMap | None = None
    observations: list[Observation] | None = None
    bare: tuple[str, Path] | None = None

    def run_model(self, truth: bool) -> None:
        """Capture the map of modules, and what they compute if that is asked for."""
        self.tell(f"{USAGE}: capture")
        with self.usage.phase("capture"):
            self.captured = exporting.capture(self.model, self.args, kwargs=self.kwargs)
        if truth:
            from onnx_tagger.exporters.truth.judging import observe

            self.tell("truth: run the model")
            self.observations = observe(self.model, self.args, self.kwargs)

    def exported(self, strategy: str) -> Outcome:
        """Export by a strategy; the first file that succeeds is kept without its metadata, as somebody else's."""
        outcome = Outcome(strategy, strategy)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=f"{strategy}-") as folder:
            path = Path(folder) / "model.onnx"
            try:
                made = exporting.export(
                    self.model,
                    self.args,
                    path,
                    kwargs=self.kwargs,
                    strategy=strategy,
                    opset=self.opset,
                    dynamic=self.dynamic,
                    compare=False,
                    progress=_Prefixed(strategy, self.tell),
                )
            except ExportError as error:
                outcome.reason = _own_reason(error)
                return outcome
            outcome.report = made.report
            self._judge(outcome, path, made.hierarchy)
            if self.bare is None:
                self.bare = strategy, self.folder / "bare.onnx"
                without_metadata(path, self.bare[1])
        return outcome

    def used(self) -> Outcome:
        """Tag the file without metadata by the captured map; one has been exported, else no strategy works."""
        assert self.bare is not None
        assert self.captured is not None
        file_by, bare = self.bare
        outcome = Outcome(USAGE, file_by)
        path = self.folder / "used.onnx"
        # The map is this model's by construction, also where nothing in the file could show it.
        report = retagging.retag(
            bare, self.captured, path, force=True, link=True, progress=lambda phase: self.tell(f"{USAGE}: {phase}")
        )
        report.phases[:0] = self.usage.phases
        report.strategy = USAGE
        outcome.report = report
        self._judge(outcome, path, self.captured)
        return outcome

    def _judge(self, outcome: Outcome, path: Path, hierarchy: HierarchyMap) -> None:
        """Judge a file's tags by what was observed, if anything was."""
        if self.observations is None:
            return
        from onnx_tagger.exporters.truth.judging import feeds_of, judge

        self.tell(f"{outcome.strategy}: truth")
        try:
            feeds = feeds_of(path, self.model, self.args, self.kwargs)
            outcome.judgement = judge(path, hierarchy, self.observations, feeds)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no class of their own
            outcome.unjudged = f"its file cannot be run: {one_line(error)}"


class _Prefixed:
    """The progress of one strategy, told with its name in front."""

    def __init__(self, strategy: str, tell: exporting.Progress) -> None:
        self.strategy, self.tell = strategy, tell

    def __call__(self, phase: str) -> None:
        self.tell(f"{self.strategy}: {phase}")

    def attempting(self, strategy: str) -> None:
        """Hand on what strategy is tried, to who wants to know."""
        if isinstance(self.tell, exporting.Attempts):
            self.tell.attempting(strategy)


def _own_reason(error: ExportError) -> str:
    """What the strategy itself says, without the frame that a failed export puts around it."""
    return str(error.__cause__ if isinstance(error.__cause__, ExportError) else error)


def _judgement_dict(found: Judgement) -> dict[str, object]:
    """A judgement as plain values."""
    return {
        "nodes": found.nodes,
        "testable": found.testable,
        "right": found.verdicts["right"],
        "right_alone": found.alone,
        "ancestor": found.verdicts["ancestor"],
        "wrong": found.verdicts["wrong"],
        "untagged": found.verdicts["untagged"],
        "untestable": dict(found.untestable),
        "details": found.details,
    }
