"""A table by module as a page of HTML that stands alone: nothing is fetched when it is shown."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.fragment import html_table
from onnx_tagger.measures.table import ModuleTable

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>onnx-tagger</title><style>
body{font:14px system-ui,sans-serif;margin:2em}table{border-collapse:collapse}
th,td{padding:.15em .8em;text-align:right;border-bottom:1px solid #8884}th:first-child{text-align:left}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}}
</style></head><body>
"""


def render(table: ModuleTable, out: TextIO) -> None:
    """Write a page with all rows of a table."""
    out.write(f"{_HEAD}{html_table(table, whole=True)}\n</body></html>\n")
