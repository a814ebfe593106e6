"""Export strategies side by side on the terminal: what each reached, and what each took."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onnx_tagger.reporters.terminal import Screen

if TYPE_CHECKING:
    from onnx_tagger.workflows.benchmarking import Timing
    from onnx_tagger.workflows.strategies import Comparison, Outcome


def show_comparison(screen: Screen, found: Comparison) -> None:
    """Print the strategies side by side, why one failed, and what auto takes; notes go to stderr."""
    outcomes = found.outcomes
    blocks = (_result_cells, _seconds_cells, _coverage_cells, _truth_cells)
    rows = [row for cells in blocks for row in _side_by_side([cells(outcome) for outcome in outcomes])]
    headers = ("strategy", *(outcome.strategy for outcome in outcomes))
    screen.table(headers, rows, numbers=range(1, len(headers)))
    screen.lines(f"{outcome.strategy} failed: {outcome.reason}" for outcome in outcomes if outcome.reason)
    screen.lines(f"{outcome.strategy} is not judged: {outcome.unjudged}" for outcome in outcomes if outcome.unjudged)
    why = f"since {' and '.join(found.since)} failed" if found.since else "the first that works"
    screen.styled(f"auto tries {', '.join(found.order)} in this order and takes {found.auto}, {why}", "bold")
    for outcome in outcomes:
        for text in outcome.report.fallbacks if outcome.report is not None else ():
            screen.note(f"note: {outcome.strategy}: {text.removeprefix(outcome.strategy + ': ')}")


def show_timings(screen: Screen, found: Sequence[Timing]) -> None:
    """Print the phases of each strategy side by side, with the ratio to the bare export, and why one failed."""
    headers = ("seconds", *(timing.strategy for timing in found))
    rows = _side_by_side([_timing_cells(timing) for timing in found])
    screen.table(headers, rows, numbers=range(1, len(headers)))
    screen.lines(f"{timing.strategy} failed: {timing.reason}" for timing in found if timing.reason)


def _timing_cells(timing: Timing) -> dict[str, str]:
    if timing.reason:
        return {}
    medians = timing.medians
    whole = sum(medians.values())
    cells = {f"  {name}": f"{value:.3f} {value / whole:6.1%}" for name, value in medians.items()}
    return {
        "tagged export": f"{whole:.3f} {1:6.1%}",
        **cells,
        "bare export": f"{statistics.median(timing.bare):.3f}",
        "tagged ÷ bare": _spread(timing.ratios()),
        "tagged without digests ÷ bare": _spread(timing.ratios(digests=False)),
        "nodes": str(timing.nodes),
    }


def _spread(values: Sequence[float]) -> str:
    """A median with the smallest and the largest value."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _side_by_side(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Rows of the columns' cells, by name; a dash where a column has none of that name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, *(column.get(name, "-") for column in columns)) for name in names]


def _result_cells(outcome: Outcome) -> dict[str, str]:
    if outcome.report is None:
        return {"result": "failed"}
    return {"result": "done", "file written by": outcome.file_by}


def _seconds_cells(outcome: Outcome) -> dict[str, str]:
    if outcome.report is None:
        return {}
    phases = outcome.report.phases
    whole = sum(phase.seconds for phase in phases)
    return {"seconds": f"{whole:.2f}"} | {f"  {phase.name}": f"{phase.seconds:.2f}" for phase in phases}


def _coverage_cells(outcome: Outcome) -> dict[str, str]:
    report = outcome.report
    if report is None:
        return {}
    split = {f"  {source}": str(count) for source, count in report.by_source.items()}
    return {"nodes": str(report.nodes), "tagged": _share(report.tagged, report.nodes)} | split


def _truth_cells(outcome: Outcome) -> dict[str, str]:
    found = outcome.judgement
    if found is None:
        return {}
    counts = {
        "  right": found.verdicts["right"],
        "  right alone": found.alone,
        "  ancestor": found.verdicts["ancestor"],
        "  wrong": found.verdicts["wrong"],
        "  untagged": found.verdicts["untagged"],
    }
    cells = {name: _share(count, found.testable) for name, count in counts.items()}
    return {"testable": _share(found.testable, found.nodes)} | cells


def _share(part: int, whole: int) -> str:
    """A count behind its share, so that the counts of a column stand below each other."""
    from onnx_tagger.model.report import shown_share

    return f"{shown_share(part, whole)} {part:>5}" if whole else "0"
