"""A table as a page: what a parser of HTML reads of it, and that it is balanced and fetches nothing."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.page import render


class Page(HTMLParser):
    """Elements, their attributes and the cells of rows; closing what is not open fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.titles: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.titles += [value or "" for name, value in attrs if name == "title"]
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def page(table: ModuleTable) -> Page:
    out = StringIO()
    render(table, out)
    text = out.getvalue()
    assert text.replace("\n", "").isprintable()
    assert not any(word in text for word in ("http:", "https:", "url(", "@import"))
    return Page(text)


def test_rows_have_totals_and_own_numbers_as_titles(table: ModuleTable) -> None:
    found = page(table)
    assert found.rows == [
        ["module", "nodes", "fused", "time (µs)", "error"],
        ["Net", "4", "0", "2.75", "2"],
        ["Blk", "3", "0", "2.75", "-"],
        ["Linear", "2", "0", "2.25", "-"],
        ["(no tag)", "1", "0", "4", "-"],
    ]
    assert found.titles[:5] == ["(root)", "own: 1", "own: 0", "own: -", "own: 2"]


def test_a_row_is_no_link_and_no_script(table_of: Callable[..., ModuleTable], hostile: str) -> None:
    found = page(table_of(hostile, column=hostile or "time"))
    assert found.tags == {"html", "head", "meta", "title", "style", "body", "table", "thead", "tbody", "tr", "th", "td"}
    assert found.attributes == {"lang", "charset", "style", "title"}
    assert [len(row) for row in found.rows] == [5] * 5


def test_a_name_is_read_back_as_it_is(table_of: Callable[..., ModuleTable]) -> None:
    name = "<b>&amp;\"'</b>"
    found = page(table_of(column=name))
    assert found.rows[0][3] == f"{name} (µs)"


def test_a_page_holds_all_rows() -> None:
    modules = HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(f"m{k}", "Blk") for k in range(300))])
    table = ModuleTable.of(ModuleTree(modules), [None], [Measure(Column("nodes"), [1])])
    assert len(page(table).rows) == 1 + 301 + 1
