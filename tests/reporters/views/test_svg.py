"""The picture of a table as a file; where its boxes are is tested in `tests/measures/test_icicle.py`."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from xml.etree import ElementTree

from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.views.svg import render


def svg_of(table: ModuleTable) -> str:
    out = StringIO()
    render(table, out, size="nodes")
    return out.getvalue()


def test_hostile_names_are_text(table_of: Callable[..., ModuleTable], hostile: str) -> None:
    text = svg_of(table_of(hostile, column=hostile or "time"))
    elements = list(ElementTree.fromstring(text).iter())
    assert {element.tag.rpartition("}")[2] for element in elements} == {"svg", "g", "title", "rect", "text"}
    assert not {name for element in elements for name in element.attrib if name.startswith("on") or "href" in name}
    assert text.replace("\n", "").isprintable()


def test_a_name_of_a_megabyte_is_cut(table_of: Callable[..., ModuleTable]) -> None:
    assert len(svg_of(table_of("x" * 1_000_000))) < 10_000
