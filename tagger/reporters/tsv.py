"""Tab-separated values, a form that every tool of a shell takes: a table by module, or any rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.csv import cells_of
from onnx_tagger.reporters.terminal import printable


def render(table: ModuleTable, out: TextIO) -> None:
    """Write a header and a row for each module; the nodes without a tag come last, as ``(none)``."""
    render_rows(cells_of(table), out)


def render_rows(rows: Iterable[Sequence[str]], out: TextIO) -> None:
    """Write rows of cells, a line each; tabs and line breaks in a cell are escaped."""
    out.writelines("\t".join(map(printable, row)) + "\n" for row in rows)
