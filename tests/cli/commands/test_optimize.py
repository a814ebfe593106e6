"""The command optimize: exit codes, files that it writes, and forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.optimised import write_model

Run = Callable[..., tuple[int, str, str]]
FAST = ("--sessions", "2", "--runs", "2", "--stages", "fusions", "--workdir", "w")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m.onnx")


def test_a_report_in_all_forms(run: Run) -> None:
    code, out, _ = run("optimize", "m.onnx", "-o", "o.onnx", *FAST, "--report", "r.json", "--html", "r.html")
    assert code == 0
    assert "fusions/standard operators" in out
    found = ot.Optimized.load("r.json")
    assert found.verdict in out
    assert Path("r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    code, out, _ = run("optimize", "m.onnx", "-o", "o.onnx", *FAST, "--format", "json")
    assert json.loads(out)["tries"] == json.loads(found.to_json())["tries"], "nothing is measured twice"
    code, out, _ = run("optimize", "m.onnx", "-o", "o.onnx", *FAST, "--format", "markdown")
    assert out.startswith("**")


def test_a_target_that_is_missed(run: Run) -> None:
    code, out, _ = run("optimize", "m.onnx", "-o", "o.onnx", *FAST, "--speedup", "1000")
    assert code == 1
    assert "the target of x 1000 is missed: the nearest is" in out
    assert ot.check("o.onnx").ok


@pytest.mark.parametrize(
    "options",
    [
        ("--max-drop", "0.1"),
        ("--stages", "nothing"),
        ("--metric", "no.py:f"),
        ("--speedup", "0"),
        ("--keep", "nowhere"),
    ],
    ids=" ".join,
)
def test_what_is_refused(run: Run, options: tuple[str, ...]) -> None:
    code, _, err = run("optimize", "m.onnx", "-o", "o.onnx", "--sessions", "1", "--runs", "1", *options)
    assert code == 2
    assert err
    assert not Path("o.onnx").exists()
