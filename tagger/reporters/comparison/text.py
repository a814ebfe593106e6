"""A comparison for people: what differs first, then every module with its errors, and why others are not visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from onnx_tagger.measures.comparison.comparison import ACCUMULATED, LOCAL, TENSORS, TOLERANCE, Comparison
from onnx_tagger.measures.table import Row
from onnx_tagger.reporters.terminal import counted, printable, shortened

HEADERS = ("module", "local", "accumulated", "allowed", "tensors", "")

# What a person reads of the tensors and nodes in a module that differs.
_SHOWN = 5


def render(comparison: Comparison, out: TextIO) -> None:
    """Write the headline, what differs, the table by module, and a summary of what is not visible."""
    lines = [headline(comparison), *(f"  {text}" for text in comparison.failures), *_operations(comparison)]
    lines += ["", *_table(comparison), ""]
    lines += [coverage(comparison), *comparison.notes]
    lines += [f"  {module or '(root)'}: {why}" for module, why in comparison.hidden.items()]
    out.writelines(f"{printable(shortened(line)).rstrip()}\n" for line in lines)


def headline(comparison: Comparison) -> str:
    """A line that says whether they agree, and which module is the first that does not."""
    beside = f"{comparison.file} beside {comparison.reference}"
    if comparison.ok:
        return f"{beside}: no module differs"
    if comparison.first_bad is None:
        return f"{beside}: differs, by no module alone"
    count = len(comparison.bad)
    return (
        f"{beside}: {counted(count, 'module')} differ{'s' if count == 1 else ''}, "
        f"first {comparison.first_bad or '(root)'}"
    )


def coverage(comparison: Comparison) -> str:
    """A line that says how much of the model was compared."""
    shown, hidden = len(comparison.visible), len(comparison.hidden)
    return (
        f"visible: {shown} of {counted(shown + hidden, 'module')} that ran, "
        f"by {counted(len(comparison.tensors), 'tensor')}, which {comparison.covered:.1f} % of the nodes lead to"
    )


def shown_rows(comparison: Comparison) -> list[tuple[Row, dict[str, float | None], str]]:
    """The rows that tensors show, each with its numbers and what is to be said of it.

    A module in which no other one is shown stands for all that lies in it.
    """
    rows = [row for row in comparison.modules.rows if row.module is not None]
    around = {row.module.parent.path for row in rows if row.module is not None and row.module.parent is not None}
    found = []
    for row in rows:
        assert row.module is not None
        numbers = row.own if row.module.path in around else row.total
        if numbers[TENSORS]:
            below = {module.path for module in row.module.below()} if numbers is row.total else {row.module.path}
            found.append((row, numbers, _status(numbers, differs=not below.isdisjoint(comparison.bad))))
    return found


def _status(numbers: dict[str, float | None], *, differs: bool) -> str:
    if differs:
        return "differs"
    off, allowed = numbers[ACCUMULATED], numbers[TOLERANCE]
    return "ok by itself, off before" if off is None or (allowed is not None and off > allowed) else "ok"


def error_text(value: float | None) -> str:
    """An error for people; one without a number is beyond measure."""
    return "inf" if value is None else f"{value:.1e}"


def cells(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """The texts of the table, row by row, under the headers `HEADERS`."""
    for row, numbers, status in shown_rows(comparison):
        assert row.module is not None
        errors = (error_text(numbers[name]) for name in (LOCAL, ACCUMULATED, TOLERANCE))
        yield row.module.shown, *errors, f"{numbers[TENSORS] or 0:.0f}", status


def _table(comparison: Comparison) -> Iterator[str]:
    table: Sequence[Sequence[str]] = [HEADERS, *cells(comparison)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *padded[1:-1], row[-1]])


def _operations(comparison: Comparison) -> Iterator[str]:
    for suspect in comparison.operations[:_SHOWN]:
        named = f" {suspect.name!r}" if suspect.name else ""
        yield f"    {suspect.node}{named} is the first to compute what the reference does not, {suspect.tensor!r}"
    if len(comparison.operations) > _SHOWN:
        yield f"    and {len(comparison.operations) - _SHOWN} more; --format json lists all"
