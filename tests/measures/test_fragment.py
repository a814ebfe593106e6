"""A table as a fragment of HTML: what a notebook shows, and that it stays small and safe."""

from __future__ import annotations

import re

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.fragment import html_table, title
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source

_SMALL = 60_000


def table_of(rows: list[ModuleRow], columns: int = 3, name: str = "column") -> ModuleTable:
    measures = [Measure(Column(f"{name} {k}", "µs"), [0.123456 * k]) for k in range(columns)]
    return ModuleTable.of(ModuleTree(HierarchyMap.from_rows(rows)), [None], measures)


@pytest.mark.parametrize(
    ("length", "columns", "name"), [(8, 3, "c"), (300, 3, "c"), (5_000, 1, "c"), (20, 60, "c"), (20, 3, "c" * 9_000)]
)
def test_a_table_of_many_modules_is_small(length: int, columns: int, name: str) -> None:
    rows = [
        ModuleRow("", "Net"),
        *(ModuleRow(f"{'m' * length}{k}", "Blk") for k in range(10_000 if length < 99 else 500)),
    ]
    text = html_table(table_of(rows, columns, name))
    assert len(text.encode()) < _SMALL
    shown = text.count("<tr>") - 1 - text.count("more modules") - text.count("(no tag)")
    left = re.search(r"and (\d+) more modules", text)
    assert left is not None
    assert shown + int(left[1]) == len(rows)
    assert shown > 20


def test_few_rows_are_all_there() -> None:
    text = html_table(table_of([ModuleRow("", "Net"), ModuleRow("a", "Blk")]))
    assert "more module" not in text
    assert text.count("<tr>") == 4


def test_one_row_more_is_a_module() -> None:
    rows = [ModuleRow("", "Net"), *(ModuleRow(f"m{k}", "Blk") for k in range(200))]
    assert "and 1 more module<" in html_table(table_of(rows))


def test_rows_are_indented_by_depth() -> None:
    rows = [ModuleRow("", "Net"), ModuleRow("l", "ModuleList", tagged=False, keyed=True), ModuleRow("l.0", "Blk")]
    text = html_table(table_of(rows))
    assert re.findall(r"padding-left:(\d+)em", text) == ["0", "1", "1", "0"]


def test_untagged_nodes_have_a_row_where_there_are_any() -> None:
    modules = HierarchyMap.from_rows([ModuleRow("", "Net")])
    for tag, there in ((None, True), (modules.tag("", Source.EXPORTED), False)):
        table = ModuleTable.of(ModuleTree(modules), [tag], [Measure(Column("nodes"), [1])])
        assert ("(no tag)" in html_table(table)) is there


@pytest.mark.parametrize("text", ["<script>", '" onload="x', "\x1b[31m", "\u202e", "\ud800", "a\nb", "&copy;"])
def test_names_are_escaped(text: str) -> None:
    shown = html_table(table_of([ModuleRow("", text), ModuleRow("a", text)], name=text))
    assert "<script" not in shown
    assert ' onload="' not in shown
    assert "&copy;" not in shown
    assert shown.isprintable()


def test_title_has_the_unit() -> None:
    assert title(Column("time", "µs")) == "time (µs)"
    assert title(Column("nodes")) == "nodes"
