"""A table as a fragment of HTML, for notebooks and for the pages that reporters make; all texts are escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from onnx_tagger.measures.shown import shown
from onnx_tagger.model.texts import cut, printable

if TYPE_CHECKING:
    from onnx_tagger.measures.measure import Column
    from onnx_tagger.measures.table import ModuleTable, Row

# A notebook cell is looked at, not scrolled for minutes, and is saved with the notebook; the whole table is a file's
# business. Rows, characters of all of them, and of one name.
_MOST_ROWS = 200
_MOST_CHARACTERS = 80_000
_MOST_OF_NAME = 200


def html_table(table: ModuleTable, *, whole: bool = False) -> str:
    """A table as an HTML element: its first rows and the number of those left out.

    Parameters
    ----------
    table : ModuleTable
    whole : bool
        Show all rows, and names in full.
    """
    most = None if whole else _MOST_OF_NAME
    head = "".join(f"<th>{_text(title(column), most)}</th>" for column in table.columns)
    rows = []
    characters = 0
    for place in range(len(table))[: None if whole else _MOST_ROWS]:
        rows.append(_row(table, table.row(place), most))
        characters += len(rows[-1])
        if characters > _MOST_CHARACTERS and not whole:
            break
    left = len(table) - len(rows)
    if left:
        modules = "module" if left == 1 else "modules"
        rows.append(f'<tr><td colspan="{len(table.columns) + 1}">and {left} more {modules}</td></tr>')
    if any(table.untagged.values()):
        rows.append(_row(table, table.untagged_row, most))
    return f"<table><thead><tr><th>module</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def title(column: Column) -> str:
    """A column's name with its unit."""
    return f"{column.name} ({column.unit})" if column.unit else column.name


def _text(text: str, most: int | None) -> str:
    return escape(printable(text if most is None else cut(text, most)))


def _row(table: ModuleTable, row: Row, most: int | None) -> str:
    name = "(no tag)" if row.module is None else row.module.segment or row.module.shown
    path = "nodes without a tag" if row.module is None else row.module.shown
    indent = f' style="padding-left:{row.depth}em;text-align:left"'
    cells = "".join(
        f'<td title="own: {escape(shown(row.own[column.name]))}">{escape(shown(row.total[column.name]))}</td>'
        for column in table.columns
    )
    return f'<tr><td{indent} title="{_text(path, most)}">{_text(name, most)}</td>{cells}</tr>'
