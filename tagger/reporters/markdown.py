"""A table by module in Markdown, for summaries of jobs and for comments."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.fragment import title
from onnx_tagger.measures.shown import shown
from onnx_tagger.measures.table import ModuleTable, Row
from onnx_tagger.reporters.terminal import printable

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+!|~&$@"})


def render(table: ModuleTable, out: TextIO) -> None:
    """Write a row for each module with its numbers, own and with all below; untagged nodes where there are any."""
    names = [f"{title(column)}, own" for column in table.columns], [f"{title(column)}" for column in table.columns]
    heads = [cell for pair in zip(*reversed(names), strict=True) for cell in pair]
    out.write(f"| module | {' | '.join(map(escaped, heads))} |\n|-|{'-:|' * len(heads)}\n")
    rows = table.rows if any(table.untagged.values()) else table.rows[:-1]
    out.writelines(_line(table, row) for row in rows)


def _line(table: ModuleTable, row: Row) -> str:
    name = "(no tag)" if row.module is None else f"{row.module.segment} {row.module.shown}".strip()
    values = (value for c in table.columns for value in (row.total[c.name], row.own[c.name]))
    return f"| {escaped(name)} | {' | '.join(map(shown, values))} |\n"


def escaped(text: str) -> str:
    """A text that Markdown shows as it is."""
    return printable(text).translate(_SPECIAL)
