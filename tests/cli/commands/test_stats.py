"""`stats`: counts in every form."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO

import pytest

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("nets")


def test_text(run: Run) -> None:
    code, out, err = run("stats", "after.onnx")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "83.3 % of 6 nodes tagged (exported 2, aligned 2, inherited 1)"
    assert lines[1] == "1 node with the work of several modules"
    assert lines[-1].split() == ["1", "0", "0", "0", "(no", "tag)"]


def test_json_is_the_report(run: Run) -> None:
    report = json.loads(run("stats", "after.onnx", "--json")[1])
    assert (report["nodes"], report["tagged"], report["origins"]) == (6, 5, 1)
    assert report["untagged"] == ["main#3 Cast"]
    assert report["tags"]["/Net/Blk.1/Linear"] == 2
    again = json.loads(run("stats", "after.onnx", "--format", "json", "--map", "net.hierarchy.json")[1])
    assert again["by_source"] == report["by_source"]


def test_csv_has_a_column_for_each_source(run: Run) -> None:
    rows = list(csv.DictReader(StringIO(run("stats", "after.onnx", "--format", "csv")[1])))
    sources = ("exported", "matched", "aligned", "inherited", "root")
    for row in rows[:-1]:
        assert sum(int(row[f"{source} own"]) for source in sources) <= int(row["nodes own"])
    assert [int(rows[0][f"{source} total"]) for source in ("exported", "aligned", "inherited")] == [2, 2, 1]
    assert run("stats", "after.onnx", "--tsv")[1].count("\n") == len(rows) + 1


def test_measures(run: Run) -> None:
    out = run("stats", "after.onnx", "--measure", "weights")[1]
    assert "weights (B)" in out
    assert "80" in out
    for name in ("sources", "nodes"):
        assert run("stats", "after.onnx", "--measure", name) == run("stats", "after.onnx")
    assert run("stats", "after.onnx", "--measure", "wieghts")[0] == 2


def test_a_file_without_tags(run: Run) -> None:
    assert run("stats", "plain.onnx")[1].splitlines() == [
        "0.0 % of 1 nodes tagged",
        "nodes  tag",
        "    1  (no tag)",
    ]


def test_many_files(run: Run) -> None:
    code, out, _ = run("stats", "after.onnx", "plain.onnx", "gone.onnx")
    lines = out.splitlines()
    assert code == 2
    assert lines[0] == "after.onnx: 83.3 % of 6 nodes tagged (exported 2, aligned 2, inherited 1)"
    assert lines[2].startswith("gone.onnx cannot be opened")
    assert (
        lines[3] == "3 files, of which 1 cannot be read: 71.4 % of 7 nodes tagged (exported 2, aligned 2, inherited 1)"
    )
    rows = list(csv.DictReader(StringIO(run("stats", "after.onnx", "plain.onnx", "--format", "csv")[1])))
    assert [(row["file"], row["nodes"]) for row in rows] == [("after.onnx", "6"), ("plain.onnx", "1")]
    files = json.loads(run("stats", "*.onnx", "--json")[1])["files"]
    assert [each["file"] for each in files] == ["after.onnx", "before.onnx", "plain.onnx"]
    assert run("stats", "*.onnx", "--measure", "weights")[0] == 2
    assert run("stats", "*.onnx", "--format", "html")[0] == 2
