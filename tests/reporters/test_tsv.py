"""Tab-separated values: a line a row, a cell between tabs, whatever the names are."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.csv import cells_of
from onnx_tagger.reporters.tsv import render, render_rows


def test_a_table_has_the_cells_of_its_csv(table: ModuleTable) -> None:
    out = StringIO()
    render(table, out)
    assert [line.split("\t") for line in out.getvalue().splitlines()] == list(cells_of(table))


def test_hostile_names_stay_in_their_cells(table_of: Callable[..., ModuleTable], hostile: str) -> None:
    out = StringIO()
    render(table_of(hostile, column=hostile or "time"), out)
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert [line.count("\t") for line in lines] == [10] * 5
    assert all(line.replace("\t", "").isprintable() for line in lines)


def test_rows_are_lines() -> None:
    out = StringIO()
    render_rows([("a", "b"), ("tab\there", "line\nhere")], out)
    assert out.getvalue() == "a\tb\ntab\\there\tline\\nhere\n"


def test_no_rows() -> None:
    out = StringIO()
    render_rows([], out)
    assert out.getvalue() == ""
