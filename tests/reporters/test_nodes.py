"""Rows of nodes in every form: lines, JSON, tab-separated values, names alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from onnx import ModelProto

from onnx_tagger.reporters.nodes import Form, show_nodes
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.reading import COLUMNS, Node, read

Net = Callable[..., ModelProto]
ROOT = Node("main#0", "n", "Add", "", "", "/Net", (), "exported", ("", "a"), ("x", "", "y"), ("z",), "main")


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def call(rows: list[Node], form: Form = "text", quiet: bool = False) -> tuple[str, str]:
        show_nodes(Screen(quiet), rows, form)
        found = capsys.readouterr()
        return found.out, found.err

    return call


Show = Callable[..., tuple[str, str]]


def test_lines(show: Show, net: Net) -> None:
    out, err = show(read(net(after=True)).nodes())
    assert err == ""
    assert sorted(out.splitlines()) == sorted(
        [
            "one com.microsoft::FusedGemm -> layers.0 (aligned, origins layers.0.act, layers.0.fc)",
            "if If -> layers.1 (exported)",
            "neg Neg -> layers.1.fc (aligned)",
            "main/If_1.else_branch#0 Abs -> layers.1.fc (inherited)",
            "main#2 Sigmoid -> layers.1.act (exported)",
            "loose Cast -> (none)",
        ]
    )


def test_the_root_has_a_name_for_people(show: Show) -> None:
    assert show([ROOT])[0] == "n Add -> (root) (exported, origins (root), a)\n"
    header, cells = (line.split("\t") for line in show([ROOT], "tsv")[0].splitlines())
    row = dict(zip(header, cells, strict=True))
    assert (row["module"], row["origins"], row["inputs"]) == ("(root)", "(root),a", "x,,y")


def test_json_holds_every_field(show: Show, net: Net) -> None:
    rows = json.loads(show(read(net()).nodes(), "json")[0])
    keys = ["id", "name", "op", "domain", "module", "tag", "call", "source", "origins", "inputs", "outputs", "scope"]
    keys.append("evidence")
    assert [list(row) for row in rows] == [keys] * 8
    assert rows[-1] == {
        **dict.fromkeys(("module", "tag", "source", "evidence")),
        "id": "main#5",
        "name": "loose",
        "op": "Cast",
        "domain": "",
        "call": [],
        "origins": [],
        "inputs": ["s"],
        "outputs": ["y"],
        "scope": "main",
    }
    assert json.loads(show([ROOT], "json")[0])[0]["module"] == ""


def test_tsv_has_a_header_and_as_many_cells_in_each_row(show: Show, net: Net) -> None:
    lines = [line.split("\t") for line in show(read(net()).nodes(), "tsv")[0].splitlines()]
    assert lines[0] == list(COLUMNS)
    assert {len(line) for line in lines} == {len(COLUMNS)}
    assert lines[-1][:7] == ["main#5", "loose", "Cast", "", "", "", ""]


def test_names_alone(show: Show, net: Net) -> None:
    rows = read(net()).nodes()
    out, err = show(rows, "names")
    assert out.splitlines() == [row.name for row in rows if row.name]
    assert err == "2 nodes without a name left out\n"
    assert show(rows, "names", quiet=True)[1] == ""
    assert show([ROOT], "names") == ("n\n", "")


@pytest.mark.parametrize(
    ("form", "text"), [("text", ""), ("names", ""), ("json", "[]\n"), ("tsv", "\t".join(COLUMNS) + "\n")]
)
def test_no_nodes(show: Show, form: Form, text: str) -> None:
    assert show([], form) == (text, "")


def test_hostile_names(show: Show, hostile: str) -> None:
    row = replace(ROOT, name=hostile, op=hostile or "Add", module=hostile, inputs=(hostile,), scope=hostile)
    for form in ("text", "tsv", "names"):
        lines = show([row], form)[0].split("\n")
        assert len(lines) == (1 if form == "names" and not hostile else 2 if form != "tsv" else 3)
        assert all(line.replace("\t", "").isprintable() for line in lines)
    text = show([row], "json")[0]
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)[0]["inputs"] == [hostile]
