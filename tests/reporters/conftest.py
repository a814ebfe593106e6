"""Tables and texts that the tests of reporters show, and the screen that they print on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source

# Each breaks one form or another: a terminal, a cell, a line, a tag, an entity, an encoding.
HOSTILE = [
    "\x1b]0;title\x07\x1b[31m",
    "a\tb\nc\r\nd\x0be\u2028f",
    "a|b\\|c`d*e_f~g",
    "<script>alert(1)</script><!--",
    "</table>\"' onmouseover='x",
    "&lt;b&gt;&#27;",
    'a,"b";c',
    "\u202eabc\u200f\u2066",
    "\udfff\ud800",
    "[red]x[/red]",
    "",
]


@pytest.fixture(params=HOSTILE, ids=ascii)
def hostile(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


@pytest.fixture(params=[text for text in HOSTILE if "\ud800" not in text], ids=ascii)
def hostile_in_file(request: pytest.FixtureRequest) -> str:
    """As `hostile`, without what protobuf refuses."""
    text: str = request.param
    return text


@pytest.fixture
def table_of() -> Callable[..., ModuleTable]:
    """Make a table of a root, a block and a layer, with five nodes; the names of class, attribute and column are given.

    Its columns: a count, a time that two nodes have none of, and a largest error that no node of the block has.
    """

    def make(name: str = "", column: str = "time", untagged: bool = True) -> ModuleTable:
        attribute = name.replace(".", "") or "fc"
        rows = [ModuleRow("", name or "Net"), ModuleRow("blk", "Blk"), ModuleRow(f"blk.{attribute}", name or "Linear")]
        modules = HierarchyMap.from_rows(rows)
        paths: list[str | None] = ["", "blk", f"blk.{attribute}", f"blk.{attribute}", None if untagged else ""]
        tags = [None if path is None else modules.tag(path, Source.EXPORTED) for path in paths]
        measures = [
            Measure(Column("nodes"), [1] * 5),
            Measure(Column("fused"), [0] * 5),
            Measure(Column(column, "µs"), [None, 0.5, 2.25, None, 4.0]),
            Measure(Column("error", rule="max", worse="higher"), [2.0, None, None, None, None]),
        ]
        return ModuleTable.of(ModuleTree(modules), tags, measures)

    return make


@pytest.fixture
def table(table_of: Callable[..., ModuleTable]) -> ModuleTable:
    return table_of()
