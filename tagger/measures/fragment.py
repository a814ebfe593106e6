"""A table as a fragment of HTML, for notebooks and for the pages that reporters make; all texts are escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from onnx_tagger.measures.shown import shown

if TYPE_CHECKING:
    from onnx_tagger.measures.measure import Column
    from onnx_tagger.measures.table import ModuleTable, Row

# A notebook cell is looked at, not scrolled for minutes; the whole table is a file's business.
_MOST_ROWS = 200


def html_table(table: ModuleTable, most: int | None = _MOST_ROWS) -> str:
    """A table as an HTML element, its first rows and the number of those left out.

    Parameters
    ----------
    table : ModuleTable
    most : int, optional
        How many rows are shown; None for all.
    """
    head = "".join(f"<th>{escape(title(column))}</th>" for column in table.columns)
    places = range(len(table))[:most]
    body = "".join(_row(table, table.row(place)) for place in places)
    left = len(table) - len(places)
    if left:
        body += f'<tr><td colspan="{len(table.columns) + 1}">and {left} more modules</td></tr>'
    if any(table.untagged.values()):
        body += _row(table, table.untagged_row)
    return f"<table><thead><tr><th>module</th>{head}</tr></thead><tbody>{body}</tbody></table>"


def title(column: Column) -> str:
    """A column's name with its unit."""
    return f"{column.name} ({column.unit})" if column.unit else column.name


def _row(table: ModuleTable, row: Row) -> str:
    name = "(no tag)" if row.module is None else row.module.segment
    path = "" if row.module is None else row.module.shown
    indent = f' style="padding-left:{row.depth}em;text-align:left"'
    cells = "".join(
        f'<td title="own: {escape(shown(row.own[column.name]))}">{escape(shown(row.total[column.name]))}</td>'
        for column in table.columns
    )
    return f'<tr><td{indent} title="{escape(path)}">{escape(name)}</td>{cells}</tr>'
