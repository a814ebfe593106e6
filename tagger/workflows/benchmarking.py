"""What tagging costs on one model: the phases of an export by each strategy, and its whole beside the bare exporter's.

The phases have the names of the table by which this kind of tool is compared: export, load, tracking, mapping,
injection, save. Several models, and the peers, are measured by `benchmarks/` in the repository.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_tagger.errors import ExportError, TaggerError, require
from onnx_tagger.model.report import Report
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.workflows import exporting
from onnx_tagger.workflows.strategies import load_exporters

if TYPE_CHECKING:
    from torch import Tensor, nn

# Each phase, in the order of the table, with the phases of a report that it is made of. Loading takes no time: the
# graph is tagged before the only save, so that nothing is read again.
_PARTS = {
    "export": ("export",),
    "load": (),
    "tracking": ("capture",),
    "digests": ("digests",),
    "mapping": ("tag",),
    "injection": (),
    "save": ("save", "save map"),
}


@dataclass
class Timing:
    """What one strategy took, in seconds, round by round.

    Attributes
    ----------
    strategy : str
        fx or htp.
    nodes : int
        How many nodes the file has.
    phases : dict
        Phase to its seconds in each round.
    bare : list of float
        Seconds that the exporter takes to write the file without tags, in the same rounds.
    reason : str
        Why the strategy cannot do this model; empty if it can.
    """

    strategy: str
    nodes: int = 0
    phases: dict[str, list[float]] = field(default_factory=dict)
    bare: list[float] = field(default_factory=list)
    reason: str = ""

    __repr__ = brief_fields

    @property
    def medians(self) -> dict[str, float]:
        """Median seconds of each phase."""
        return {name: statistics.median(values) for name, values in self.phases.items()}

    def ratios(self, *, digests: bool = True) -> list[float]:
        """The tagged export over the bare one, round by round, with or without the digests of the weights."""
        counted = [values for name, values in self.phases.items() if digests or name != "digests"]
        return [sum(spent) / bare for *spent, bare in zip(*counted, self.bare, strict=True)]

    def as_dict(self) -> dict[str, object]:
        """The timing as plain values; what does not apply is None."""
        if self.reason:
            return {"strategy": self.strategy, "reason": self.reason}
        return {
            "strategy": self.strategy,
            "reason": None,
            "nodes": self.nodes,
            "phases": [{"name": name, "seconds": round(value, 6)} for name, value in self.medians.items()],
            "bare_seconds": round(statistics.median(self.bare), 6),
            "ratio": round(statistics.median(self.ratios()), 4),
            "ratio_without_digests": round(statistics.median(self.ratios(digests=False)), 4),
            "rounds": len(self.bare),
        }


def bench(
    model: nn.Module,
    args: Sequence[object] | Tensor = (),
    *,
    kwargs: Mapping[str, object] | None = None,
    opset: int | None = None,
    dynamic: bool = False,
    rounds: int = 3,
    progress: exporting.Progress | None = None,
) -> list[Timing]:
    """Export a model by each strategy, tagged and bare by turns, in a folder that is removed at the end.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes; a tensor alone is the only positional argument.
    opset : int, optional
        ONNX opset version.
    dynamic : bool
        Leave the dimensions of tensor inputs open.
    rounds : int
        How often each is done; one more round before does not count.
    progress : callable, optional
        Told strategy and round as each begins.

    Returns
    -------
    list of Timing
        One for each strategy.

    Raises
    ------
    ExportError
        If no strategy can export the model, or it raises on these inputs.
    TaggerError
        If there are no rounds.
    """
    if rounds < 1:
        raise TaggerError(f"{rounds} rounds measure nothing; ask for one or more")
    require("torch", "torch", "measuring exports")
    from onnx_tagger.exporters.select import ORDER

    tell = progress or exporting.nothing_to_tell
    tell("load the exporters")
    load_exporters()
    found = []
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        options = {"kwargs": kwargs, "opset": opset, "dynamic": dynamic, "compare": False}
        for name in ORDER:
            found.append(_timing(name, model, args, Path(folder) / "model.onnx", rounds, options, tell))
    if all(timing.reason for timing in found):
        reasons = "; ".join(f"{timing.strategy}: {timing.reason}" for timing in found)
        raise ExportError(f"the model cannot be exported: {reasons}: change the model's code or its inputs")
    return found


def _timing(
    strategy: str,
    model: nn.Module,
    args: Sequence[object] | Tensor,
    path: Path,
    rounds: int,
    options: Mapping[str, object],
    tell: exporting.Progress,
) -> Timing:
    """Measure one strategy; the first round fills caches and does not count."""
    timing = Timing(strategy)
    for turn in range(rounds + 1):
        tell(f"{strategy}: round {turn} of {rounds}")
        reports: dict[bool, tuple[Report, float]] = {}
        # By turns the other one first: what comes second finds warmer caches.
        for tag in (True, False) if turn % 2 else (False, True):
            start = time.perf_counter()
            try:
                if isinstance(tell, exporting.Attempts):
                    tell.attempting(strategy)
                made = exporting.export(model, args, path, strategy=strategy, tag=tag, **options)  # type: ignore[arg-type]
            except ExportError as error:
                timing.reason = str(error.__cause__ if isinstance(error.__cause__, ExportError) else error)
                return timing
            reports[tag] = made.report, time.perf_counter() - start
        if turn:
            _add(timing, reports)
    return timing


def _add(timing: Timing, reports: Mapping[bool, tuple[Report, float]]) -> None:
    """Note one round."""
    report, whole = reports[True]
    timing.nodes = report.nodes
    seconds = {phase.name: phase.seconds for phase in report.phases}
    injection = sum(step.ms / 1e3 for step in report.passes if step.name == "inject")
    for name, parts in _PARTS.items():
        spent = sum(seconds.get(part, 0.0) for part in parts)
        spent += {"mapping": -injection, "injection": injection}.get(name, 0.0)
        timing.phases.setdefault(name, []).append(spent)
    timing.phases.setdefault("other", []).append(whole - sum(seconds.values()))
    # What the exporter itself does: the bare export captures, too, to guide it, which is tracking and none of its work.
    timing.bare.append(sum(phase.seconds for phase in reports[False][0].phases if phase.name in ("export", "save")))
