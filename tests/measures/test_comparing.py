"""A table beside another one: modules that only one of them has, numbers before and after, and joined columns."""

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source, Tag


def table_of(numbers: dict[str, float], column: Column | None = None, **tags: str | None) -> ModuleTable:
    """A table of one node for each module, all in the root; a module's tag is made of its path unless it is given."""
    known = {path: tags.get(path, f"/Net/{path.upper().replace('.', '/')}") for path in numbers if path}
    modules = [Module("", "Net", "/Net", None)]
    for path, tag in known.items():
        above = path.rpartition(".")[0]
        modules.append(Module(path, path.upper(), tag, above if above in known else ""))
    made: list[Tag | None] = [Tag(path, known.get(path) or "/Net", Source.EXPORTED) for path in numbers]
    measure = Measure(column or Column("n"), list(numbers.values()))
    return ModuleTable.of(ModuleTree(HierarchyMap(tuple(modules))), made, [measure])


def test_numbers_before_after_and_their_change() -> None:
    found = table_of({"": 1, "a": 2, "b": 3}).compare(table_of({"": 1, "a": 5}))
    assert [column.name for column in found.columns] == ["n before", "n after", "n change"]
    assert found["a"].own == {"n before": 2, "n after": 5, "n change": 3}
    assert found["b"].own == {"n before": 3, "n after": 0, "n change": -3}
    assert found[""].total == found.whole == {"n before": 6, "n after": 6, "n change": 0}


def test_what_only_the_later_one_has_follows_below_its_parent() -> None:
    found = table_of({"a": 1, "b": 1}).compare(table_of({"a": 1, "a.x": 2, "c": 4}))
    assert [row.path for row in found] == ["", "a", "a.x", "b", "c", None]
    assert found["a.x"].own == {"n before": 0, "n after": 2, "n change": 2}


def test_a_maximum_that_is_missing_is_none() -> None:
    column = Column("e", rule="max", worse="higher")
    found = table_of({"a": 1}, column).compare(table_of({"b": 2}, column))
    assert found["a"].own == {"e before": 1, "e after": None, "e change": None}
    assert found.column("e change").worse == "higher"


def test_a_module_is_the_same_by_its_tag_or_by_its_path() -> None:
    """One file may know a module by its path alone, as an origin, and another by its tag alone."""
    by_path = table_of({"": 1, "a": 2}, a=None)
    assert table_of({"": 1, "a": 1}).compare(by_path)["a"].own["n change"] == 1
    modules = (Module("", "Net", "/Net", None), Module("B.a", "B", "/Net/B.a", ""))
    tags: list[Tag | None] = [Tag("B.a", "/Net/B.a", Source.EXPORTED)]
    by_tag = ModuleTable.of(ModuleTree(HierarchyMap(modules)), tags, [Measure(Column("n"), [7.0])])
    found = table_of({"a": 1}, a="/Net/B.a").compare(by_tag)
    assert [row.path for row in found] == ["", "a", None]
    assert found["a"].own == {"n before": 1, "n after": 7, "n change": 6}


def test_filtered_tables_compare_the_rows_that_they_have() -> None:
    before, after = (table_of({"": 1, "a": value, "b": value}) for value in (1, 2))
    found = before.filter("a").compare(after.filter("a"))
    assert [row.path for row in found] == ["a", None]
    assert found.whole == {"n before": 3, "n after": 5, "n change": 2}


def test_tables_that_cannot_be_compared() -> None:
    with pytest.raises(TaggerError, match="share no column"):
        table_of({"a": 1}).compare(table_of({"a": 1}, Column("m")))
    with pytest.raises(TaggerError, match="the column 'n' has another unit or rule"):
        table_of({"a": 1}).compare(table_of({"a": 1}, Column("n", "µs")))


def test_joined_columns() -> None:
    found = table_of({"a": 1}).join(table_of({"b": 2}, Column("m")))
    assert found["a"].own == {"n": 1, "m": 0}
    assert found["b"].own == {"n": 0, "m": 2}
    assert found.whole == {"n": 1, "m": 2}
    with pytest.raises(TaggerError, match="both tables have the column 'n'"):
        table_of({"a": 1}).join(table_of({"a": 1}))


def test_comparing_changes_neither_table() -> None:
    before, after = table_of({"a": 1}), table_of({"a": 1, "a.x": 2})
    shapes = [(repr(table), [module.path for module in table.tree.root.below()]) for table in (before, after)]
    before.compare(after)
    assert shapes == [(repr(table), [module.path for module in table.tree.root.below()]) for table in (before, after)]
