"""`show`: how a node is chosen, forms and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable

import onnx
import pytest

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("nets")


@pytest.mark.parametrize("node", ["one", "main#0", "main#0 FusedGemm", "r"])
def test_a_node_by_name_id_or_output(run: Run, node: str) -> None:
    code, out, err = run("show", "after.onnx", node)
    assert (code, err) == (0, "")
    assert out.startswith("one  main#0 FusedGemm\n  module  layers.0\n")
    assert "  origin  layers.0.act\n  origin  layers.0.fc\n" in out


def test_json(run: Run) -> None:
    (found,) = json.loads(run("show", "after.onnx", "one", "--json")[1])
    assert (found["id"], found["module"], found["source"], found["domain"]) == (
        "main#0",
        "layers.0",
        "aligned",
        "com.microsoft",
    )
    assert found["origins"] == ["layers.0.act", "layers.0.fc"]
    assert [each["what"] for each in found["inputs"]] == ["input of main", "initializer", "initializer"]


def test_tsv(run: Run) -> None:
    rows = [line.split("\t") for line in run("show", "after.onnx", "one", "--tsv")[1].splitlines()]
    assert rows[0] == ["node", "field", "value"]
    assert {len(row) for row in rows} == {3}
    assert ["main#0", "origin", "layers.0.fc"] in rows


def test_a_map_tells_of_nothing_that_the_file_does_not(run: Run) -> None:
    assert run("show", "after.onnx", "one", "--map", "net.hierarchy.json")[:2] == run("show", "after.onnx", "one")[:2]


def test_a_node_in_a_body_and_one_without_a_tag(run: Run) -> None:
    assert "  module  layers.1.fc\n" in run("show", "before.onnx", "neg")[1]
    assert "  module  (none)\n" in run("show", "before.onnx", "loose")[1]


@pytest.mark.parametrize("form", [(), ("--json",), ("--tsv",)])
def test_an_unknown_node(run: Run, form: tuple[str, ...]) -> None:
    code, out, err = run("show", "before.onnx", "rleu", *form)
    assert (code, out) == (2, "")
    assert "no node has the name, id or output 'rleu': did you mean 'relu'" in err


def test_what_is_wrong_with_a_node_s_own_keys(run: Run) -> None:
    model = onnx.load("before.onnx")
    entry = next(entry for entry in model.graph.node[1].metadata_props if entry.key == "pkg.onnx_tagger.tag")
    entry.value = "x"
    onnx.save(model, "wrong.onnx")
    out = run("show", "wrong.onnx", "main#1")[1]
    assert "  note    its own keys do not hold: it has the tag 'x', which does not fit its module" in out


def test_every_node_of_a_name(run: Run) -> None:
    model = onnx.load("before.onnx")
    model.graph.node[0].name = "add"
    onnx.save(model, "twice.onnx")
    assert run("show", "twice.onnx", "add")[1].count("  module  ") == 2
    assert len(json.loads(run("show", "twice.onnx", "add", "--json")[1])) == 2


def test_hostile_names_steer_nothing(run: Run) -> None:
    model = onnx.load("before.onnx")
    model.graph.node[0].name = "\x1b]0;t\x07\u202e\n\t|"
    onnx.save(model, "evil.onnx")
    for form in ((), ("--json",), ("--tsv",)):
        code, out, _ = run("show", "evil.onnx", "main#0", *form)
        assert code == 0
        assert out.replace("\n", "").replace("\t", "").isprintable()
