"""What quantising costs by module, and what was quantised, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_tagger.model.report import shown_share
from onnx_tagger.model.texts import counted

if TYPE_CHECKING:
    from onnx_tagger.measures.quantising import Quantized, Sensitivity
    from onnx_tagger.reporters.terminal import Screen


def show_sensitivity(screen: Screen, found: Sensitivity) -> None:
    """Print a row for each module, the costliest first, and what all of them cost together."""
    headers = ("module", "nodes", "weights", "dB alone", "share", "cumulative")
    rows, upto = [], 0.0
    for row in found.modules:
        upto += row.share
        rows.append(
            [
                row.module or "(root)",
                str(row.nodes),
                str(row.weights),
                f"{row.sqnr:.1f}",
                f"{100 * row.share:.1f} %",
                f"{100 * upto:.1f} %",
            ]
        )
    screen.table(headers, rows, numbers=range(1, len(headers)))
    screen.lines(
        [
            f"all {counted(len(rows), 'module')} quantised: {found.all_sqnr:.1f} dB found, "
            f"{found.predicted_sqnr:.1f} dB if noise adds up "
            f"({found.how}, {counted(found.samples, 'sample')} of {found.data})"
        ]
    )
    for note in found.notes:
        screen.note(f"note: {note}")


def show_quantized(screen: Screen, found: Quantized) -> None:
    """Print what was tried, what was taken, and what is missed."""
    headers = ("way", "kept", "dB predicted", "dB found", "metric", "MB")
    rows = [
        [
            each.way,
            str(len(each.kept)) if each.error is None else "failed",
            _number(each.predicted, 1),
            _number(each.sqnr, 1),
            _number(each.metric, 4),
            f"{each.bytes / 1e6:.2f}" if each.bytes else "",
        ]
        for each in found.variants
    ]
    before = [["float", "", "", "", _number(found.metric_before, 4), f"{found.bytes_before / 1e6:.2f}"]]
    screen.table(headers, [*before, *rows], numbers=range(1, len(headers)))
    screen.lines(f"{each.way} failed: {each.error}" for each in found.variants if each.error is not None)
    kept = [each.module or "(root)" for each in found.modules if each.precision == "fp32"]
    quantised = sum(each.precision == "int8" for each in found.modules)
    screen.lines([f"quantised: {counted(quantised, 'module')}; kept in float: {', '.join(kept) or 'none'}"])
    if found.mended:
        screen.lines([f"{counted(found.mended, 'input')} of kept modules read their tensors again, no rounded copies"])
    screen.lines([f"{found.output}: {shown_share(round(found.coverage * 100), 10_000)} of its nodes tagged"])
    for failure in found.failures:
        screen.styled(f"missed: {failure}", "red")
    for note in found.notes:
        screen.note(f"note: {note}")


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
