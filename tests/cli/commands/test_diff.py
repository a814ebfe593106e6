"""`diff`: exit codes, what is ignored, forms."""

from __future__ import annotations

import json
from collections.abc import Callable

import onnx
import pytest

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("nets")


def test_equal_files(run: Run) -> None:
    assert run("diff", "before.onnx", "before.onnx") == (0, "", "no differences in 8 nodes\n")
    assert run("diff", "before.onnx", "before.onnx", "--json")[0] == 0
    assert run("diff", "before.onnx", "before.onnx", "--tsv")[:2] == (
        0,
        "kind\tname\top\tmodule\tfield\tbefore\tafter\n",
    )


def test_the_summary_by_module_comes_first(run: Run) -> None:
    code, out, err = run("diff", "before.onnx", "after.onnx")
    assert code == 1
    assert out.splitlines()[:6] == [
        "only before  only after  changed  module",
        "          0           1        0  layers.0",
        "          2           0        0  layers.0.fc",
        "          1           0        0  layers.0.act",
        "",
        "only in before.onnx: mm MatMul -> layers.0.fc",
    ]
    assert err == "3 only in before.onnx, 1 only in after.onnx, 0 differ\n"


def other_source() -> None:
    model = onnx.load("before.onnx")
    entry = next(entry for entry in model.graph.node[0].metadata_props if entry.key.endswith(".source"))
    entry.value = "matched"
    onnx.save(model, "matched.onnx")


def test_ignored_fields(run: Run) -> None:
    other_source()
    code, out, _ = run("diff", "before.onnx", "matched.onnx")
    assert code == 1
    assert out.splitlines()[-1] == "mm MatMul: source exported -> matched"
    for form in ((), ("--json",), ("--tsv",)):
        assert run("diff", "before.onnx", "matched.onnx", "--ignore", "source", *form)[0] == 0
    assert run("diff", "before.onnx", "matched.onnx", "--ignore", "tag", "--ignore", "call")[0] == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--ignore", "sorce"), "no field is named 'sorce': did you mean 'source'?"),
        (("--under", "layers.7"), "no module has the path or tag 'layers.7'"),
    ],
)
def test_what_is_unknown_is_said(run: Run, args: tuple[str, ...], said: str) -> None:
    for form in ((), ("--json",), ("--tsv",)):
        code, out, err = run("diff", "before.onnx", "after.onnx", *args, *form)
        assert (code, out) == (2, "")
        assert said in err


def test_a_file_that_is_missing(run: Run) -> None:
    assert run("diff", "before.onnx", "missing.onnx")[:2] == (2, "")


def test_under(run: Run) -> None:
    other_source()
    assert run("diff", "before.onnx", "matched.onnx", "--under", "layers.0")[0] == 1
    assert run("diff", "before.onnx", "matched.onnx", "--under", "layers.1")[0] == 0
    value = json.loads(run("diff", "before.onnx", "after.onnx", "--under", "layers.*.act", "--json")[1])
    assert [row["name"] for row in value["only_before"]] == ["relu"]
    # The fused node does work of the module, too.
    assert [row["name"] for row in value["only_after"]] == ["one"]


def test_a_module_that_one_file_alone_has(run: Run) -> None:
    assert run("diff", "plain.onnx", "after.onnx", "--under", "layers.0")[0] == 1


def test_json_and_tsv(run: Run) -> None:
    code, out, err = run("diff", "before.onnx", "after.onnx", "--json")
    assert (code, err) == (1, "")
    value = json.loads(out)
    assert (value["paired"], len(value["only_before"]), len(value["only_after"])) == (5, 3, 1)
    assert value["by_module"]["cells"][0]["whole"] == 3
    rows = [line.split("\t") for line in run("diff", "before.onnx", "after.onnx", "--tsv")[1].splitlines()]
    assert [row[:2] for row in rows[1:]] == [
        ["only before", "mm"],
        ["only before", "add"],
        ["only before", "relu"],
        ["only after", "one"],
    ]
