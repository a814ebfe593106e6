"""A table by module as comma-separated values: a row for each module, own and total of each column."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from onnx_tagger.measures.fragment import title
from onnx_tagger.measures.table import ModuleTable, Row
from onnx_tagger.reporters.terminal import printable

# Beyond this not every integer is a float, and digits would be made up.
_EXACT = 1 << 53


def render(table: ModuleTable, out: TextIO) -> None:
    """Write a header and a row for each module; the nodes without a tag come last, as ``(none)``."""
    csv.writer(out, lineterminator="\n").writerows(cells_of(table))


def cells_of(table: ModuleTable) -> Iterator[list[str]]:
    """The cells of a header and of each row, with numbers as Python writes them."""
    titles = [printable(title(column)) for column in table.columns]
    yield ["module", "class", "tag", *(f"{name} {part}" for name in titles for part in ("own", "total"))]
    for row in table.rows:
        yield [
            *map(printable, _names(row)),
            *(_number(v) for c in table.columns for v in (row.own[c.name], row.total[c.name])),
        ]


def _names(row: Row) -> tuple[str, str, str]:
    if row.module is None:
        return "(none)", "", ""
    return row.module.shown, row.module.cls or "", row.module.tag or ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
