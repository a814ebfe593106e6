"""The picture of a table: where its boxes are, and what colours say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.icicle import icicle
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import SOURCES, Source

SVG = "{http://www.w3.org/2000/svg}"


def table_of(change: bool = False) -> ModuleTable:
    tree = HierarchyMap.from_rows(
        [ModuleRow("", "Net"), ModuleRow("a", "Blk"), ModuleRow("a.x", "Linear"), ModuleRow("b", "Blk")]
    )
    tags = [
        tree.tag(path, source)
        for path, source in (("a.x", Source.EXPORTED), ("a", Source.MATCHED), ("b", Source.INHERITED))
    ]
    measures = [
        Measure(Column("nodes"), [1.0] * 4),
        Measure(Column("time", "µs", worse="higher"), [3.0, 1.0, -4.0 if change else 4.0, None]),
        Measure(Column("error", rule="max"), [0.5, None, 1.0, None]),
        *(Measure(Column(name), [float(tag.source.label == name) for tag in tags] + [0.0]) for name in SOURCES),
    ]
    return ModuleTable.of(ModuleTree(tree), [*tags, None], measures)


def boxes(text: str) -> dict[str, tuple[float, float, float, str]]:
    """Path to x, width, y and colour."""
    found = {}
    for group in ElementTree.fromstring(text).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        assert title.text is not None
        x, width, y = (float(rect.attrib[name]) for name in ("x", "width", "y"))
        found[title.text.partition(":")[0]] = (x - 0.5, width + 1, y - 0.5, rect.attrib["fill"])
    return found


def test_boxes_are_as_wide_as_their_share_and_lie_below_the_one_around() -> None:
    found = boxes(icicle(table_of(), width=400))
    assert {path: box[:3] for path, box in found.items()} == {
        "(root)": (0, 300, 0),
        "nodes without a tag": (300, 100, 0),
        "a": (0, 200, 22),
        "a.x": (0, 100, 44),
        "b": (200, 100, 22),
    }


def test_another_size() -> None:
    found = boxes(icicle(table_of(), size="time", width=400))
    assert (found["a"][:2], found["b"][:2]) == ((0, 200), (200, 200))
    assert "nodes without a tag" not in found


def test_colours_of_sources_are_those_of_the_worst() -> None:
    text = icicle(table_of())
    found = boxes(text)
    assert len({found[path][3] for path in ("a.x", "a", "b")}) == 3
    assert found["(root)"][3] == found["b"][3]
    assert all(word in text for word in ("exported", "matched", "inherited"))
    assert "aligned" not in text


def test_colours_of_a_column_have_their_numbers_in_the_legend() -> None:
    text = icicle(table_of(), colour="error")
    assert "error: 0<" in text
    found = boxes(text)
    assert found["b"][3] == found["(root)"][3] != found["a"][3]
    change = icicle(table_of(change=True), size="nodes", colour="time")
    assert "time: -4 µs<" in change
    assert len({box[3] for box in boxes(change).values()}) >= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [({"size": "error"}, "'error'"), ({"size": "time"}, "'time'"), ({"size": "x"}, "'x'"), ({"colour": "x"}, "'x'")],
)
def test_columns_that_do_not_fit(options: dict[str, str], words: str) -> None:
    with pytest.raises(TaggerError, match=words):
        icicle(table_of(change=True), **options)  # type: ignore[arg-type]


def test_levels_are_left_out() -> None:
    assert set(boxes(icicle(table_of(), depth=1))) == {"(root)", "nodes without a tag", "a", "b"}
    assert set(boxes(icicle(table_of(), most=3))) == {"(root)", "nodes without a tag"}


def test_an_empty_table() -> None:
    tree = HierarchyMap.from_rows([ModuleRow("", "Net")])
    assert boxes(icicle(ModuleTable.of(ModuleTree(tree), [], [Measure(Column("nodes"), [])]))) == {}
