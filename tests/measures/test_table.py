"""The table by module: sums, maxima and root mean squares, fused nodes, gaps, rows, filters and sorting."""

import random
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, strategies as st

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure, Rule
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source, Tag

TIMES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def table_of(tree: ModuleTree, tags: list[Tag | None], rule: Rule = "sum", fused: str = "enclosing") -> ModuleTable:
    return ModuleTable.of(tree, tags, [Measure(Column("time", "µs", rule), TIMES)], fused=fused)  # type: ignore[arg-type]


def cells(table: ModuleTable) -> dict[str | None, tuple[float | None, float | None]]:
    return {row.path: (row.own["time"], row.total["time"]) for row in table}


def test_sums(tree: ModuleTree, tags: list[Tag | None]) -> None:
    table = table_of(tree, tags)
    assert cells(table) == {
        "": (16, 31),
        "enc": (8, 15),
        "enc.layers": (0, 7),
        "enc.layers.0": (3, 3),
        "enc.layers.1": (4, 4),
        "head": (0, 0),
        None: (32, 32),
    }
    assert table.whole == {"time": 63}
    assert table.untagged == {"time": 32}


def test_fused_nodes_are_shared_out_in_equal_parts(tree: ModuleTree, tags: list[Tag | None]) -> None:
    found = cells(table_of(tree, tags, fused="shared"))
    assert found["enc.layers.0"] == (1 + 2 + 4, 7)
    assert found["enc.layers.1"] == (4 + 4, 8)
    assert found["enc"] == (0, 15)
    assert table_of(tree, tags, fused="shared").whole == {"time": 63}


def test_maxima(tree: ModuleTree, tags: list[Tag | None]) -> None:
    found = cells(table_of(tree, tags, "max"))
    assert found == {
        "": (16, 16),
        "enc": (8, 8),
        "enc.layers": (None, 4),
        "enc.layers.0": (2, 2),
        "enc.layers.1": (4, 4),
        "head": (None, None),
        None: (32, 32),
    }
    assert table_of(tree, tags, "max").whole == {"time": 32}
    assert cells(table_of(tree, tags, "max", "shared"))["enc.layers.0"] == (8, 8)


def test_root_mean_squares(tree: ModuleTree, tags: list[Tag | None]) -> None:
    found = cells(table_of(tree, tags, "rms"))
    assert found["enc.layers.0"] == (pytest.approx(sqrt(2.5)), pytest.approx(sqrt(2.5)))
    assert found["enc"] == (8, pytest.approx(sqrt((1 + 4 + 16 + 64) / 4)))
    assert found["enc.layers"] == (None, pytest.approx(sqrt(7)))
    assert table_of(tree, tags, "rms").whole["time"] == pytest.approx(sqrt(sum(t * t for t in TIMES) / 6))
    shared = cells(table_of(tree, tags, "rms", "shared"))
    assert shared["enc.layers.0"][0] == pytest.approx(sqrt((1 + 4 + 32) / 2.5))


def test_none_is_not_zero(tree: ModuleTree, tags: list[Tag | None]) -> None:
    """A module of which no node has a number has none; one without nodes adds nothing."""
    measure = Measure(Column("time"), [None, None, 4.0, None, None, None])
    table = ModuleTable.of(tree, tags, [measure])
    assert cells(table) == {
        "": (None, 4),
        "enc": (None, 4),
        "enc.layers": (0, 4),
        "enc.layers.0": (None, None),
        "enc.layers.1": (4, 4),
        "head": (0, 0),
        None: (None, None),
    }
    assert table.whole == {"time": 4}
    assert ModuleTable.of(tree, tags, [Measure(Column("time"), [None] * 6)]).whole == {"time": None}


def test_a_table_of_no_nodes(tree: ModuleTree) -> None:
    table = ModuleTable.of(tree, [], [Measure(Column("a"), []), Measure(Column("b", rule="max"), [])])
    assert table.whole == {"a": 0, "b": None}
    assert ModuleTable.of(tree, [], []).columns == ()


def test_a_module_that_the_tree_lacks_counts_as_untagged(tree: ModuleTree) -> None:
    table = ModuleTable.of(tree, [Tag("gone", "/Net/Gone", Source.EXPORTED)], [Measure(Column("time"), [1.0])])
    assert (table.untagged, table.whole) == ({"time": 1}, {"time": 1})


@given(st.integers(0, 2**32), st.sampled_from(["enclosing", "shared"]))
def test_rows_always_sum_up_to_the_whole(seed: int, fused: str) -> None:
    rng = random.Random(seed)
    paths = [""]
    for number in range(rng.randrange(12)):
        paths.append(f"{rng.choice(paths)}.m{number}".lstrip("."))
    hierarchy = HierarchyMap.from_rows([ModuleRow(path, "M") for path in paths])
    tags: list[Tag | None] = []
    for _ in range(rng.randrange(20)):
        origins = rng.sample(paths, min(len(paths), rng.choice([0, 0, 2, 3])))
        module = hierarchy.enclosing(origins) if origins else rng.choice(paths)
        tags.append(rng.choice([None, hierarchy.tag(module, Source.ALIGNED, origins)]))
    values = [float(rng.randrange(1000)) for _ in tags]
    # By number, so that sharing a third of one out and adding it up again rounds to what it was.
    measure = Measure(Column("v"), values)
    table = ModuleTable.of(ModuleTree(hierarchy), tags, [measure], fused=fused)  # type: ignore[arg-type]
    assert sum(row.own["v"] or 0 for row in table) == pytest.approx(sum(values))
    assert table.whole["v"] == pytest.approx(sum(values))
    for row in table.rows[:-1]:
        assert row.module is not None
        below = [table[module.path].own["v"] for module in row.module.below()]
        assert row.total["v"] == pytest.approx(sum(value or 0 for value in below))


def test_measures_that_do_not_fit_are_refused(tree: ModuleTree, tags: list[Tag | None]) -> None:
    with pytest.raises(TaggerError, match="the measure 'time' has 2 numbers for 6 nodes"):
        ModuleTable.of(tree, tags, [Measure(Column("time"), [1.0, 2.0])])
    twice = Measure(Column("time"), TIMES)
    with pytest.raises(TaggerError, match="two measures have the column 'time'"):
        ModuleTable.of(tree, tags, [twice, twice])
    with pytest.raises(TaggerError, match="'both'; choose 'enclosing' or 'shared'"):
        table_of(tree, tags, fused="both")


def test_a_measure_may_place_its_numbers_itself(tree: ModuleTree, tags: list[Tag | None]) -> None:
    measure = Measure(Column("time"), np.array(TIMES), lambda tag: tag.origins)
    found = cells(ModuleTable.of(tree, tags, [measure]))
    assert found["enc.layers.0"] == found["enc.layers.1"] == (8, 8)
    assert found[""] == (0, 16)


def test_rows_by_name(tree: ModuleTree, tags: list[Tag | None]) -> None:
    table = table_of(tree, tags)
    assert table["/Net/Enc"].path == "enc"
    assert table["enc"].depth == 1
    assert table["enc.layers.0"].depth == 2  # the container between them has no tag
    with pytest.raises(KeyError, match=r"did you mean 'enc\.layers\.0'"):
        table["enc.layer.0"]
    with pytest.raises(KeyError, match="was filtered"):
        table.filter(depth=0)["enc"]


def test_filters_keep_the_whole(tree: ModuleTree, tags: list[Tag | None]) -> None:
    table = table_of(tree, tags)
    layers = table.filter("enc.layers.*")
    assert [row.path for row in layers] == ["enc.layers.0", "enc.layers.1", None]
    assert layers.whole == {"time": 63}
    assert [row.path for row in table.filter(depth=1)] == ["", "enc", "head", None]
    # With a pattern, levels count from the modules that it names.
    inside = ["enc", "enc.layers", "enc.layers.0", "enc.layers.1", "head", None]
    assert [row.path for row in table.filter(["head", "<Enc>"], depth=1)] == inside
    assert [row.path for row in table.filter(["head", "<Enc>"], depth=0)] == ["enc", "head", None]
    assert [row.path for row in table.only("<Enc>")] == ["enc", None]
    with pytest.raises(TaggerError, match="'nobody'"):
        table.filter("nobody")


def test_sorting(tree: ModuleTree, tags: list[Tag | None]) -> None:
    table = table_of(tree, tags, "max")
    assert [row.path for row in table.sort("time", by="own")][:3] == ["", "enc", "enc.layers.1"]
    assert [row.path for row in table.sort("time", by="own", descending=False)] == [
        "enc.layers.0",
        "enc.layers.1",
        "enc",
        "",
        "enc.layers",
        "head",
        None,
    ]
    with pytest.raises(TaggerError, match="no column is named 'tme': did you mean 'time'"):
        table.sort("tme")


def test_columns_are_selected(tree: ModuleTree, tags: list[Tag | None]) -> None:
    made = [Measure(Column(name), TIMES) for name in "abc"]
    table = ModuleTable.of(tree, tags, made).select(["c", "a"])
    assert [column.name for column in table.columns] == ["c", "a"]
    assert table["enc"].own == {"c": 8, "a": 8}
    assert table.filter(depth=0).whole == {"c": 63, "a": 63}


def test_a_repr_is_short(tree: ModuleTree, tags: list[Tag | None]) -> None:
    table = ModuleTable.of(tree, tags, [Measure(Column("x" * 1000 + str(n)), TIMES) for n in range(50)])
    assert len(repr(table)) <= 300
    assert len(repr(Measure(Column("x" * 1000), TIMES))) <= 300


def test_a_deep_tree_adds_up_without_recursion() -> None:
    paths = [""]
    for _ in range(2000):
        paths.append(f"{paths[-1]}.a".lstrip("."))
    modules = HierarchyMap.from_rows([ModuleRow(path, "A") for path in paths[:100]])
    tags: list[Tag | None] = [modules.tag(paths[99], Source.EXPORTED)]
    table = ModuleTable.of(ModuleTree(modules), tags, [Measure(Column("n"), [1.0])])
    assert {row.total["n"] for row in table.rows[:-1]} == {1}
