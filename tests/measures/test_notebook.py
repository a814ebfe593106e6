"""A table in a notebook: a picture and a folded table, without script, and never large."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from onnx import ModelProto, helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.notebook import MOST, notebook_cell
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source, Tag, write_node
from onnx_tagger.workflows.reading import read


def wide(count: int, columns: int = 3, name: str = "m", rule: str = "sum") -> ModuleTable:
    modules = HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(f"{name}{k}", "Blk") for k in range(count))])
    tags = [modules.tag(f"{name}{k}", Source.EXPORTED) for k in range(count)]
    kept: list[Measure] = [Measure(Column(f"c{k}{name[:1]}", rule=rule), [0.123456] * count) for k in range(columns)]  # type: ignore[arg-type]
    return ModuleTable.of(ModuleTree(modules), tags, kept)


@pytest.mark.parametrize(("count", "columns"), [(0, 1), (5, 3), (100, 3), (5000, 3), (100, 60)])
@pytest.mark.parametrize("name", ["m", "ü" * 300, "<&>" * 300])
def test_a_cell_is_small(count: int, columns: int, name: str) -> None:
    cell = notebook_cell(wide(count, columns, name))
    assert len(cell.encode()) <= MOST
    assert "<script" not in cell
    # It is well formed, so that it survives whatever a notebook is converted to.
    ElementTree.fromstring(f"<div>{cell}</div>")


def test_a_table_without_widths_has_no_picture_and_is_open() -> None:
    cell = notebook_cell(wide(3, rule="max"))
    assert "<svg" not in cell
    assert "<details open>" in cell


def test_a_file_has_a_heading_a_picture_and_its_table(net: Callable[..., ModelProto]) -> None:
    cell = read(net())._repr_html_()
    assert cell.startswith("<p><b>the given model: 87.5 % of 8 nodes tagged</b></p><svg ")
    assert "<summary>8 modules</summary><table>" in cell


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '" onload="x', "\x1b[31m", "\u202e", "&copy;", "x" * 1_000_000]
)
def test_names_are_escaped(name: str) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name)
    tag = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("m", name)]).tag("m", Source.EXPORTED)
    write_node(node, Tag("m", tag.tag, Source.EXPORTED), ())
    cell = read(helper.make_model(helper.make_graph([node], "g", [], [])))._repr_html_()
    assert len(cell.encode()) <= MOST
    assert cell.isprintable()
    found = ElementTree.fromstring(f"<div>{cell}</div>")
    assert {element.tag.rpartition("}")[2] for element in found.iter()} <= {
        *("div", "p", "b", "svg", "g", "title", "rect", "text"),
        *("details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
    }
    assert not {key for element in found.iter() for key in element.attrib if key.startswith("on")}
