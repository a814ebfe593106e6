"""A table as comma-separated values: what the csv module reads of it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.csv import render

COLUMNS = ["nodes", "fused", "time (µs)", "error"]


def rows_of(table: ModuleTable) -> list[list[str]]:
    out = StringIO()
    render(table, out)
    assert out.getvalue().replace("\n", "").isprintable()
    return list(csv.reader(StringIO(out.getvalue()), strict=True))


def test_own_and_total_of_each_column(table: ModuleTable) -> None:
    assert rows_of(table) == [
        ["module", "class", "tag", *(f"{name} {part}" for name in COLUMNS for part in ("own", "total"))],
        ["(root)", "Net", "/Net", "1", "4", "0", "0", "", "2.75", "2", "2"],
        ["blk", "Blk", "/Net/Blk", "1", "3", "0", "0", "0.5", "2.75", "", ""],
        ["blk.fc", "Linear", "/Net/Blk/Linear", "2", "2", "0", "0", "2.25", "2.25", "", ""],
        ["(none)", "", "", "1", "1", "0", "0", "4", "4", "", ""],
    ]


def test_own_numbers_add_up_to_the_whole(table: ModuleTable) -> None:
    header, *rows = rows_of(table)
    for column in ("nodes", "time"):
        place = next(place for place, name in enumerate(header) if name.startswith(column) and name.endswith("own"))
        assert sum(float(row[place] or 0) for row in rows) == table.whole[column]


def test_the_row_without_a_tag_is_there_even_if_it_is_empty(table_of: Callable[..., ModuleTable]) -> None:
    assert rows_of(table_of(untagged=False))[-1][:5] == ["(none)", "", "", "0", "0"]


def test_hostile_names_stay_in_their_cells(table_of: Callable[..., ModuleTable], hostile: str) -> None:
    rows = rows_of(table_of(hostile, column=hostile or "time"))
    assert {len(row) for row in rows} == {11}
    assert len(rows) == 5
    assert rows[3][3:5] == ["2", "2"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (0.1, "0.1"), (-2.0, "-2"), (1e300, "1e+300"), (2.0**53 - 1, "9007199254740991"), (None, "")],
)
def test_numbers(value: float | None, text: str) -> None:
    tree = HierarchyMap.from_rows([ModuleRow("", "Net")])
    table = ModuleTable.of(ModuleTree(tree), [None], [Measure(Column("time"), [value])])
    assert rows_of(table)[-1][-1] == text
