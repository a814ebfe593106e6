"""A table by module as a page of HTML that stands alone: nothing is fetched when it is shown."""

from __future__ import annotations

from html import escape
from typing import TextIO

from onnx_tagger.measures.fragment import html_table
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.terminal import printable

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body{{font:14px system-ui,sans-serif;margin:2em}}table{{border-collapse:collapse}}
th,td{{padding:.15em .8em;text-align:right;border-bottom:1px solid #8884}}th:first-child{{text-align:left}}
@media(prefers-color-scheme:dark){{body{{background:#181818;color:#ddd}}}}
</style></head><body>
"""


def render(
    table: ModuleTable, out: TextIO, *, title: str = "", size: str | None = None, colour: str | None = None
) -> None:
    """Write a page with all rows of a table.

    Parameters
    ----------
    table : ModuleTable
    out : TextIO
    title : str
        What the page is headed by, such as the name of the file.
    size, colour : str, optional
        The columns that modules are sized and coloured by at first.

    Raises
    ------
    TaggerError
        If there is no such column.
    """
    for name in filter(None, (size, colour)):
        table.column(name)
    out.write(_HEAD.format(title=escape(printable(title or "onnx-tagger"))))
    out.write(f"{html_table(table, whole=True)}\n</body></html>\n")
