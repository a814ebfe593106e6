"""A table in Markdown: a row a line with as many cells as the header, and no name that is read as markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO

from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.markdown import render

# A character that Markdown reads as markup, where nothing takes its meaning away.
_LIVE = re.compile(r"(?<!\\)(?:\\\\)*([`*_{}\[\]<>()#+!|~&$@])")


def lines_of(table: ModuleTable) -> list[str]:
    out = StringIO()
    render(table, out)
    text = out.getvalue()
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def cells(line: str) -> list[str]:
    """The cells of a line as GitHub splits it: at each bar without a backslash before it."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_total_and_own_of_each_column(table: ModuleTable) -> None:
    assert lines_of(table) == [
        r"| module | nodes | nodes, own | fused | fused, own | time \(µs\) | time \(µs\), own | error | error, own |",
        "|-|-:|-:|-:|-:|-:|-:|-:|-:|",
        r"| Net \(root\) | 4 | 1 | 0 | 0 | 2.75 | - | 2 | 2 |",
        "| Blk blk | 3 | 1 | 0 | 0 | 2.75 | 0.5 | - | - |",
        "| Linear blk.fc | 2 | 2 | 0 | 0 | 2.25 | 2.25 | - | - |",
        r"| \(no tag\) | 1 | 1 | 0 | 0 | 4 | 4 | - | - |",
    ]


def test_untagged_nodes_have_a_row_where_there_are_any(table_of: Callable[..., ModuleTable]) -> None:
    assert lines_of(table_of(untagged=False))[-1].startswith("| Linear blk.fc |")


def test_hostile_names_stay_in_their_cells(table_of: Callable[..., ModuleTable], hostile: str) -> None:
    lines = lines_of(table_of(hostile, column=hostile or "time"))
    assert len(lines) == 6
    assert {len(cells(line)) for line in lines} == {9}
    for line in lines:
        assert line.isprintable()
        assert not any(_LIVE.search(cell) for cell in cells(line))
