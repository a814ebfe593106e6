"""How the tags of a module were found."""

from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Measured
from onnx_tagger.measures.sources import measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.graph import Walk
from onnx_tagger.model.metadata import SOURCES, Tag


def test_a_column_for_each_source(tree: ModuleTree, tags: list[Tag | None]) -> None:
    ops: list[object] = [object()] * len(tags)
    table = ModuleTable.of(tree, tags, measure(Measured(Walk([], [], {}, {}), ops, tags)))  # type: ignore[arg-type]
    assert [column.name for column in table.columns] == list(SOURCES)
    assert {name: value for name, value in table["enc"].total.items() if value} == {
        "exported": 2,
        "matched": 1,
        "aligned": 1,
    }
    assert set(table.untagged.values()) == {0}
