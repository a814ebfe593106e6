"""What two files do not share, in every form."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from onnx import ModelProto

from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.difference import show_difference
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.diffing import Differences, differences
from onnx_tagger.workflows.reading import Tagged, read

Net = Callable[..., ModelProto]
Show = Callable[..., tuple[str, str]]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    def call(found: Differences, form: str = "text", quiet: bool = False) -> tuple[str, str]:
        show_difference(Screen(quiet), found, form)  # type: ignore[arg-type]
        captured = capsys.readouterr()
        return captured.out, captured.err

    return call


def named(model: ModelProto, name: str) -> Tagged:
    return Tagged(read(model).context, name)


@pytest.fixture
def found(net: Net) -> Differences:
    """Three nodes are one, and the node without a tag has another name; the Sigmoid has lost its tag."""
    after = net(after=True, loose="loosened")
    del after.graph.node[2].metadata_props[:]
    return differences(named(net(), "a.onnx"), named(after, "b.onnx"))


def test_the_summary_by_module_comes_first(show: Show, found: Differences) -> None:
    out, err = show(found)
    summary, nodes = out.split("\n\n")
    assert summary.splitlines() == [
        "only before  only after  changed  module",
        "          0           1        0  layers.0",
        "          2           0        0  layers.0.fc",
        "          1           0        0  layers.0.act",
        "          0           0        1  layers.1.act",
    ]
    assert nodes.splitlines() == [
        "only in a.onnx: mm MatMul -> layers.0.fc",
        "only in a.onnx: add Add -> layers.0.fc",
        "only in a.onnx: relu Relu -> layers.0.act",
        "only in b.onnx: one com.microsoft::FusedGemm -> layers.0",
        "main#4 Sigmoid: module layers.1.act -> (none)",
    ]
    assert err == "3 only in a.onnx, 1 only in b.onnx, 1 differ\n"
    assert show(found, quiet=True) == (out, "")


def test_untagged_nodes_have_a_row_of_the_summary(show: Show, net: Net) -> None:
    before = net()
    del before.graph.node[-1]
    out, _ = show(differences(named(before, "a"), named(net(), "b")))
    assert out.splitlines()[:4] == [
        "only before  only after  changed  module",
        "          0           1        0  (none)",
        "",
        "only in b: loose Cast -> (none)",
    ]


def test_rows_of_the_summary_add_up_to_the_nodes(found: Differences) -> None:
    table: ModuleTable = found.by_module
    counts = (len(found.difference.only_before), len(found.difference.only_after), len(found.difference.changed))
    assert tuple(table.whole.values()) == counts
    assert tuple(sum(row.own[column.name] or 0 for row in table.rows) for column in table.columns) == counts


def test_files_that_are_alike(show: Show, net: Net) -> None:
    found = differences(named(net(), "a"), named(net(), "b"))
    assert show(found) == ("", "no differences in 8 nodes\n")
    assert show(found, "tsv")[0].count("\n") == 1
    assert json.loads(show(found, "json")[0])["paired"] == 8


def test_json(show: Show, found: Differences) -> None:
    value = json.loads(show(found, "json")[0])
    assert list(value) == ["paired", "only_before", "only_after", "changed", "by_module"]
    assert [row["name"] for row in value["only_before"]] == ["mm", "add", "relu"]
    assert value["only_after"][0]["origins"] == ["layers.0.act", "layers.0.fc"]
    (change,) = value["changed"]
    assert change["fields"] == {"module": ["layers.1.act", "(none)"]}
    assert (change["before"]["id"], change["after"]["id"], change["after"]["module"]) == ("main#4", "main#2", None)
    assert value["by_module"]["format"] == "onnx-tagger/module-table"
    assert [column["name"] for column in value["by_module"]["columns"]] == ["only before", "only after", "changed"]


def test_tsv(show: Show, found: Differences) -> None:
    rows = [line.split("\t") for line in show(found, "tsv")[0].splitlines()]
    assert rows == [
        ["kind", "name", "op", "module", "field", "before", "after"],
        ["only before", "mm", "MatMul", "layers.0.fc", "", "", ""],
        ["only before", "add", "Add", "layers.0.fc", "", "", ""],
        ["only before", "relu", "Relu", "layers.0.act", "", "", ""],
        ["only after", "one", "FusedGemm", "layers.0", "", "", ""],
        ["changed", "main#4", "Sigmoid", "layers.1.act", "module", "layers.1.act", "(none)"],
    ]


def test_hostile_names(show: Show, net: Net, hostile_in_file: str) -> None:
    after = net()
    del after.graph.node[-1]
    found = differences(named(net(loose=hostile_in_file), hostile_in_file), named(after, "b"))
    for form in ("text", "tsv"):
        out, err = show(found, form)
        assert (out + err).replace("\n", "").replace("\t", "").isprintable()
        if form == "tsv":
            assert [line.count("\t") for line in out.splitlines()] == [6, 6]
    text = show(found, "json")[0]
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)["only_before"][0]["name"] == hostile_in_file
