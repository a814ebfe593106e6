"""A table as a fragment of HTML, for notebooks; all texts are escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from onnx_tagger.measures.shown import shown
from onnx_tagger.model.texts import cut, printable

if TYPE_CHECKING:
    from onnx_tagger.measures.measure import Column
    from onnx_tagger.measures.table import ModuleTable, Row

# A notebook cell is looked at, not scrolled for minutes, and is saved with the notebook; the whole table is a file's
# business. Rows, bytes of all of them, characters of one name, and columns.
_MOST_ROWS = 200
_MOST_BYTES = 60_000
_MOST_OF_NAME = 200
_MOST_COLUMNS = 20


def html_table(table: ModuleTable, *, most_bytes: int = _MOST_BYTES) -> str:
    """A table as an HTML element: its first rows and columns, and the number of the rows left out.

    Parameters
    ----------
    table : ModuleTable
    most_bytes : int
        Room for all of it.
    """
    if len(table.columns) > _MOST_COLUMNS:
        table = table.select([column.name for column in table.columns[:_MOST_COLUMNS]])
    # Long names leave room for many rows.
    most = max(min(_MOST_OF_NAME, most_bytes // (4 * len(table.columns) + 80)), 20)
    head = "".join(f"<th>{_text(title(column), most)}</th>" for column in table.columns)
    last = _row(table, table.untagged_row, most) if any(table.untagged.values()) else ""
    room = most_bytes - len((head + last).encode()) - 300
    rows: list[str] = []
    for place in range(len(table))[:_MOST_ROWS]:
        row = _row(table, table.row(place), most)
        room -= len(row.encode())
        if room < 0:
            break
        rows.append(row)
    left = len(table) - len(rows)
    if left:
        modules = "module" if left == 1 else "modules"
        rows.append(f'<tr><td colspan="{len(table.columns) + 1}">and {left} more {modules}</td></tr>')
    rows.append(last)
    return f"<table><thead><tr><th>module</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def title(column: Column) -> str:
    """A column's name with its unit."""
    return f"{column.name} ({column.unit})" if column.unit else column.name


def _text(text: str, most: int) -> str:
    return escape(printable(cut(text, most)))


def _row(table: ModuleTable, row: Row, most: int) -> str:
    name = "(no tag)" if row.module is None else row.module.segment or row.module.shown
    path = "nodes without a tag" if row.module is None else row.module.shown
    indent = f' style="padding-left:{row.depth}em;text-align:left"'
    cells = "".join(
        f'<td title="own: {escape(shown(row.own[column.name]))}">{escape(shown(row.total[column.name]))}</td>'
        for column in table.columns
    )
    return f'<tr><td{indent} title="{_text(path, most)}">{_text(name, most)}</td>{cells}</tr>'
