"""The rows of an optimisation's report, the same in every form."""

from __future__ import annotations

from onnx_tagger.measures.optimising.optimised import Interval, Optimized, Try
from onnx_tagger.model.texts import cut

HEADERS = ("try", "speed-up", "µs", "load ms", "MB", "peak MB", "nodes", "tagged", "drop", "outcome", "why")
NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8)


def rows_of(found: Optimized) -> list[list[str]]:
    """A row for each try, in the order in which they were tried."""
    return [_row(each) for each in found.tries]


def sentences_of(found: Optimized) -> list[str]:
    """What stands around the table: the verdict, the session it asks for, what changed most, and notes."""
    winner = found.winner
    lines = [found.verdict]
    if winner.settings:
        lines.append(f"run it with {' '.join(f'{key}={value}' for key, value in winner.settings.items())}")
    lines += [
        f"{each.id} changed most: "
        + ", ".join(f"{change.module or '(root)'} {change.before} -> {change.after}" for change in each.changed)
        for each in found.tries
        if each.changed and each.outcome == "kept"
    ]
    return [*lines, *found.notes]


def _row(each: Try) -> list[str]:
    return [
        each.id,
        _ratio(each.speedup),
        _latency(each.latency),
        f"{1e3 * each.creation:.1f}" if each.creation else "",
        f"{each.size / 1e6:.2f}" if each.size else "",
        f"{each.memory / 1e6:.2f}" if each.memory is not None else "",
        str(each.nodes) if each.nodes else "",
        str(each.tagged) if each.nodes else "",
        f"{each.drop:.4g}" if each.drop is not None else "",
        each.outcome,
        cut(each.reason),
    ]


def _ratio(found: Interval | None) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"x{found.mean:.2f}"
    return f"x{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _latency(found: Interval | None) -> str:
    if found is None:
        return ""
    half = f" ± {found.high - found.mean:.0f}" if found.high is not None else ""
    return f"{found.mean:.0f}{half}"
