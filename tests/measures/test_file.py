"""The JSON file of a table: equal after a round trip, equal bytes for equal tables, and what is refused."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import onnx_tagger
from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.file import json_schema, to_json
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.limits import limited, limits_of_texts
from onnx_tagger.model.metadata import Tag

SCHEMA = Path(onnx_tagger.__file__).parent / "measures" / "module-table.schema.json"


@pytest.fixture(name="table")
def _table(tree: ModuleTree, tags: list[Tag | None]) -> ModuleTable:
    time = Measure(Column("time", "µs", "sum", "higher"), [0.1, 0.2, None, 0.5, 1e9, 3.0])
    return ModuleTable.of(tree, tags, [time, Measure(Column("nodes"), [1.0] * 6)])


def values(table: ModuleTable) -> list[object]:
    return [(row.path, row.depth, row.own, row.total) for row in table]


def test_a_round_trip(table: ModuleTable, tmp_path: Path) -> None:
    table.save(tmp_path / "t.json")
    found = ModuleTable.load(tmp_path / "t.json")
    assert values(found) == values(table)
    assert (found.columns, found.whole, found.fused) == (table.columns, table.whole, table.fused)
    assert [module.path for module in found.tree] == [module.path for module in table.tree.root.below()]
    found.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "t.json").read_bytes()


def test_rows_that_were_filtered_and_sorted(table: ModuleTable, tmp_path: Path) -> None:
    chosen = table.filter("enc.layers.*").sort("time")
    chosen.save(tmp_path / "t.json")
    found = ModuleTable.load(tmp_path / "t.json")
    assert [row.path for row in found] == ["enc.layers.0", "enc.layers.1", None]
    assert found.whole == table.whole
    assert [row.path for row in found.filter("enc.layers.1")] == ["enc.layers.1", None]
    # The root of the table comes after what lies in it.
    table.sort("time", descending=False).save(tmp_path / "u.json")
    assert values(ModuleTable.load(tmp_path / "u.json")) == values(table.sort("time", descending=False))


def test_counts_have_no_point(table: ModuleTable) -> None:
    found = json.loads(to_json(table))
    assert found["cells"][1]["whole"] == 6
    assert '"whole": 6}' in to_json(table)


def test_the_schema_ships_and_fits(table: ModuleTable) -> None:
    command = "python -m onnx_tagger.measures.file > tagger/measures/module-table.schema.json"
    assert SCHEMA.read_text() == json_schema(), f"run {command}"
    jsonschema.validate(json.loads(to_json(table)), json.loads(json_schema()))


def test_a_result_of_numpy_infinity_is_none(tree: ModuleTree, tags: list[Tag | None], tmp_path: Path) -> None:
    table = ModuleTable.of(tree, tags, [Measure(Column("e", rule="max"), [float("inf")] * 6)])
    table.save(tmp_path / "t.json")
    assert ModuleTable.load(tmp_path / "t.json").whole == {"e": None}


def changed(table: ModuleTable, path: str, value: Any) -> bytes:
    """The file of a table with one value changed; a path is made of keys and positions."""
    document = json.loads(to_json(table))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place = document
    for step in steps:
        place = place[step]
    place[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", "other", "format: "),
        ("version", 2, "version: "),
        ("columns/0/rule", "mean", "columns.0.rule: "),
        ("columns/1/name", "time", "has not one list of numbers for each column"),
        ("cells", [], "has not one list of numbers for each column"),
        ("cells/0/own", [1.0], "has not one number for each module"),
        ("cells/0/own/0", "1", "cells.0.own.0: "),
        ("modules/tag", [], "the columns of its modules are not equally long"),
        ("modules/path/1", "", "two of its modules have one path"),
        ("modules/parent/1", 99, "the parent of 'enc' is none of its modules"),
        ("modules/parent/1", 1, "the parent of 'enc' is none of its modules"),
        ("modules/parent/1", 3, "some of its modules lie in themselves"),
        ("modules/parent/0", 1, "its root lies in another module"),
        ("modules/parent/1", -1, "modules.parent.1: "),
        ("fused", "both", "fused: "),
    ],
)
def test_damaged_tables_are_refused(table: ModuleTable, tmp_path: Path, path: str, value: Any, said: str) -> None:
    file = tmp_path / "t.json"
    file.write_bytes(changed(table, path, value))
    with pytest.raises(TaggerError) as caught:
        ModuleTable.load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "t.json"
    file.write_bytes(data)
    with pytest.raises(TaggerError, match="give a table that was saved"):
        ModuleTable.load(file)


def test_limits_and_missing_files(table: ModuleTable, tmp_path: Path) -> None:
    table.save(tmp_path / "t.json")
    with limited(limits_of_texts(["map-bytes=100"])), pytest.raises(TaggerError, match="more than 100 bytes"):
        ModuleTable.load(tmp_path / "t.json")
    with limited(limits_of_texts(["modules=3"])), pytest.raises(TaggerError, match="more than 3 modules"):
        ModuleTable.load(tmp_path / "t.json")
    with pytest.raises(TaggerError, match="cannot be read"):
        ModuleTable.load(tmp_path / "none.json")
    with pytest.raises(TaggerError):
        table.save(tmp_path / "no" / "folder.json")
