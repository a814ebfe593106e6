"""`tree`: options, forms and exit codes; how lines look is the reporter's matter."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import onnx
import pytest

from onnx_tagger.measures.table import ModuleTable

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("nets")


def test_without_and_with_a_map(run: Run) -> None:
    code, out, err = run("tree", "before.onnx")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Net  (root)  0 nodes, 7 with all below",
        "  Blk.0  layers.0  0 nodes, 3 with all below",
        "    Linear  layers.0.fc  2 nodes",
        "    ReLU  layers.0.act  1 node",
        "  Blk.1  layers.1  1 node, 4 with all below",
        "    Linear  layers.1.fc  2 nodes",
        "    ReLU  layers.1.act  1 node",
        "1 node without a tag",
    ]
    mapped = run("tree", "before.onnx", "--map", "net.hierarchy.json")[1].splitlines()
    assert set(mapped) - set(out.splitlines()) == {"  Head  head  0 nodes"}


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        ((), {"fc  layers.0.fc  0 nodes, 1 fused with others", "act  layers.0.act  0 nodes, 1 fused with others"}),
        (
            ("--map", "net.hierarchy.json"),
            {"Linear  layers.0.fc  0 nodes, 1 fused with others", "ReLU  layers.0.act  0 nodes, 1 fused with others"},
        ),
        (
            ("--before", "before.onnx"),
            {
                "Linear  layers.0.fc  2 -> 0 nodes, 1 fused with others",
                "ReLU  layers.0.act  1 -> 0 nodes, 1 fused with others",
                "Blk.0  layers.0  0 -> 1 node, 3 -> 1 with all below",
            },
        ),
        (
            ("--before", "before.onnx", "--map", "net.hierarchy.json"),
            {"Linear  layers.0.fc  2 -> 0 nodes, 1 fused with others", "Head  head  0 -> 0 nodes"},
        ),
    ],
)
def test_fused_modules_say_so(run: Run, args: tuple[str, ...], lines: set[str]) -> None:
    code, out, _ = run("tree", "after.onnx", *args)
    assert code == 0
    assert lines <= {line.strip() for line in out.splitlines()}
    assert out.count("fused with others") == 2


@pytest.mark.parametrize(
    ("args", "paths"),
    [
        (("--depth", "0"), ["(root)"]),
        (("--depth", "1"), ["(root)", "layers.0", "layers.1"]),
        (("--under", "layers.*", "--depth", "0"), ["layers.0", "layers.1"]),
        (("--under", "layers.1", "--depth", "1"), ["layers.1", "layers.1.fc", "layers.1.act"]),
        (("--under", "**.act"), ["layers.0.act", "layers.1.act"]),
        (("--under", "<Linear>"), ["layers.0.fc", "layers.1.fc"]),
        (("--under", "layers.0.fc", "--under", "/Net/Blk.1/ReLU"), ["layers.0.fc", "layers.1.act"]),
        (("--under", "(root)", "--depth", "0"), ["(root)"]),
    ],
)
def test_depth_and_under(run: Run, args: tuple[str, ...], paths: list[str]) -> None:
    code, out, _ = run("tree", "before.onnx", *args)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[:-1]] == paths
    rows = list(csv.DictReader(StringIO(run("tree", "before.onnx", *args, "--format", "csv")[1])))
    # Containers have rows, but no lines.
    assert [row["module"] for row in rows if row["tag"]] == paths
    assert rows[-1]["module"] == "(none)"


def test_a_terminal_nests_what_lies_in_something(terminal: Run) -> None:
    out = re.sub(r"\x1b\[[0-9;]*m", "", terminal("tree", "before.onnx", "--under", "layers.*")[1])
    assert [line.rstrip() for line in out.splitlines()] == [
        "Blk.0  layers.0  0 nodes, 3 with all below",
        "├── Linear  layers.0.fc  2 nodes",
        "└── ReLU  layers.0.act  1 node",
        "Blk.1  layers.1  1 node, 4 with all below",
        "├── Linear  layers.1.fc  2 nodes",
        "└── ReLU  layers.1.act  1 node",
        "1 node without a tag",
    ]


def test_measures(run: Run) -> None:
    out = run("tree", "before.onnx", "--measure", "weights", "--depth", "1")[1]
    assert out.splitlines()[1] == "  Blk.0  layers.0  0 nodes, 3 with all below, weights 80 B"
    assert run("tree", "before.onnx", "--measure", "weights", "--measure", "weights", "--depth", "1")[1] == out
    assert run("tree", "before.onnx", "--measure", "nodes")[1] == run("tree", "before.onnx")[1]


def test_a_file_without_tags(run: Run) -> None:
    assert run("tree", "plain.onnx") == (0, "plain.onnx: no tags on 1 node\n", "")
    assert run("tree", "after.onnx", "--before", "plain.onnx") == (0, "plain.onnx: no tags on 1 node\n", "")
    code, out, _ = run("tree", "plain.onnx", "--tsv")
    assert code == 0
    assert out.splitlines()[-1].split("\t")[:4] == ["(none)", "", "", "1"]


def test_every_form_has_the_same_numbers(run: Run, tmp_path: Path) -> None:
    args = ("tree", "before.onnx", "--measure", "weights")
    rows = list(csv.reader(StringIO(run(*args, "--format", "csv")[1])))
    assert [line.split("\t") for line in run(*args, "--format", "tsv")[1].splitlines()] == rows
    assert run(*args, "--tsv") == run(*args, "--format", "tsv")
    markdown = run(*args, "--format", "markdown")[1].splitlines()
    assert len(markdown) == len(rows) + 1
    assert markdown[2].split(" | ")[1:] == ["7", "0", "0", "0", "80", "0 |"]
    assert run(*args, "--format", "html")[1].startswith("<!doctype html>")
    text = run(*args, "--json")[1]
    assert text == run(*args, "--format", "json")[1]
    (tmp_path / "table.json").write_text(text, encoding="utf-8")
    table = ModuleTable.load(tmp_path / "table.json")
    assert table["layers.0"].total == {"nodes": 3, "fused": 0, "weights": 80}
    assert table.untagged["nodes"] == 1


def test_rows_of_the_csv_add_up_to_the_whole(run: Run) -> None:
    rows = list(csv.DictReader(StringIO(run("tree", "before.onnx", "--measure", "weights", "--format", "csv")[1])))
    whole = json.loads(run("tree", "before.onnx", "--measure", "weights", "--json")[1])["cells"]
    for place, name in enumerate(("nodes", "fused", "weights (B)")):
        assert sum(float(row[f"{name} own"]) for row in rows) == whole[place]["whole"]
    assert float(rows[0]["nodes total"]) + float(rows[-1]["nodes total"]) == 8


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--format", "nonsense"), "'nonsense' is not one of 'text', 'json'"),
        (("--measure", "wieghts"), "did you mean 'weights'?"),
        (("--under", "layers.0.fk"), "did you mean 'layers.0.fc'"),
        (("--under", "<Blok>"), "did you mean 'Blk'?"),
        (("--under", "layers.9.*"), "no module matches 'layers.9.*'"),
        (("--depth", "-1"), "-1"),
        (("--before", "missing.onnx"), "missing.onnx"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, args: tuple[str, ...], said: str) -> None:
    code, out, err = run("tree", "before.onnx", *args)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_module_of_a_file_without_tags_is_unknown_in_every_form(run: Run) -> None:
    for form in ((), ("--json",), ("--tsv",)):
        assert run("tree", "plain.onnx", "--under", "layers", *form)[0] == 2


@pytest.mark.parametrize("form", ["text", "json", "csv", "tsv", "markdown"])  # the page has tests of its own
def test_hostile_names_steer_nothing(run: Run, form: str) -> None:
    model = onnx.load("plain.onnx")
    model.graph.node[0].metadata_props.add(key="winml.hierarchy.tag", value="/Net/<b>\x1b[31m|\t\u202ex")
    onnx.save(model, "evil.onnx")
    code, out, _ = run("tree", "evil.onnx", "--format", form)
    assert code == 0
    assert out.replace("\n", "").replace("\t", "").isprintable()
    assert r"\u202ex" in out


def test_another_carrier(run: Run) -> None:
    """A file that holds class paths alone has no module paths; the class path stands in their place."""
    model = onnx.load("plain.onnx")
    model.graph.node[0].metadata_props.add(key="winml.hierarchy.tag", value="/Tiny/Encoder/Linear")
    model.graph.node.add(op_type="Abs", input=["y"], output=["z"])
    onnx.save(model, "foreign.onnx")
    assert run("tree", "foreign.onnx")[1].splitlines()[-2:] == [
        "    Linear  /Tiny/Encoder/Linear  1 node",
        "1 node without a tag",
    ]
