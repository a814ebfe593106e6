"""`nodes`: which nodes are listed, forms and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("nets")


def test_all_nodes(run: Run) -> None:
    code, out, err = run("nodes", "after.onnx")
    assert (code, err) == (0, "")
    assert out.count("\n") == 6
    assert "one com.microsoft::FusedGemm -> layers.0 (aligned, origins layers.0.act, layers.0.fc)\n" in out


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (("--under", "layers.0"), ["mm", "add", "relu"]),
        (("--under", "layers.0.fc"), ["mm", "add"]),
        (("--under", "layers.*.fc"), ["mm", "add", "", "neg"]),
        (("--under", "<ReLU>"), ["relu", ""]),
        (("--under", "layers.0.**", "--op", "Add", "--op", "Relu"), ["add", "relu"]),
        (("--source", "aligned"), ["neg"]),
        (("--source", "aligned", "--source", "inherited"), ["", "neg"]),
        (("--source", "matched"), []),
        (("--untagged",), ["loose"]),
        (("--op", "Sigmoid", "--under", "layers.1"), [""]),
    ],
)
def test_which_nodes(run: Run, args: tuple[str, ...], names: list[str]) -> None:
    code, out, err = run("nodes", "before.onnx", *args, "--json")
    assert (code, err) == (0, "")
    assert [row["name"] for row in json.loads(out)] == names


def test_a_fused_node_is_under_each_of_its_origins(run: Run) -> None:
    for path in ("layers.0.fc", "layers.0.act", "layers.0"):
        assert run("nodes", "after.onnx", "--under", path, "--names") == (0, "one\n", "")


def test_names_for_a_quantiser(run: Run) -> None:
    out = run("nodes", "before.onnx", "--names")
    assert out[0] == 0
    assert sorted(out[1].split()) == ["add", "if", "loose", "mm", "neg", "relu"]
    assert out[2] == "2 nodes without a name left out\n"
    assert run("-q", "nodes", "before.onnx", "--names")[2] == ""


def test_json_rows(run: Run) -> None:
    rows = json.loads(run("nodes", "after.onnx", "--json", "--op", "com.microsoft::FusedGemm")[1])
    assert rows == [
        {
            "id": "main#0",
            "name": "one",
            "op": "FusedGemm",
            "domain": "com.microsoft",
            "module": "layers.0",
            "tag": "/Net/Blk.0",
            "call": [],
            "source": "aligned",
            "origins": ["layers.0.act", "layers.0.fc"],
            "inputs": ["x", "w", "b"],
            "outputs": ["r"],
            "scope": "main",
            "evidence": None,
        }
    ]


def test_tsv_has_the_same_columns(run: Run) -> None:
    header, *rows = [line.split("\t") for line in run("nodes", "after.onnx", "--tsv")[1].splitlines()]
    assert header == list(json.loads(run("nodes", "after.onnx", "--json")[1])[0])
    assert len(rows) == 6
    assert {len(row) for row in rows} == {13}


def test_an_operator_that_the_file_has_not_is_a_note(run: Run) -> None:
    assert run("nodes", "before.onnx", "--op", "Conv") == (
        0,
        "",
        "no node with the operator Conv is among them\n",
    )
    assert run("nodes", "before.onnx", "--op", "Conv", "--json")[:2] == (0, "[]\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--op", "Cnov"), "no node has the operator 'Cnov': did you mean 'Conv'?"),
        (("--op", "FusedGem"), "no node has the operator 'FusedGem': did you mean 'FusedGemm'"),
        (("--source", "alinged"), "no tag has the source 'alinged': did you mean 'aligned'?"),
        (("--under", "layers.2"), "no module has the path or tag 'layers.2'"),
    ],
)
def test_what_is_unknown_is_said_with_what_was_meant(run: Run, args: tuple[str, ...], said: str) -> None:
    code, out, err = run("nodes", "after.onnx", *args)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_file_without_tags(run: Run) -> None:
    assert run("nodes", "plain.onnx") == (0, "n Neg -> (none)\n", "")
    assert run("nodes", "plain.onnx", "--untagged", "--names") == (0, "n\n", "")
