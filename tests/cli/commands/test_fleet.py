"""`onnx-tagger fleet`: rows, exit codes, and what is said when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.fleets import fleet_of, told
from examples.tiny import Run


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fleet_of(tmp_path / "f", 10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_exits_with_1_and_writes_a_row_for_each_file(run: Run, folder: Path) -> None:
    code, out, _ = run("fleet", "check", "f", "-o", "r.csv", "--jobs", "1")
    assert code == 1
    assert out.startswith("10 files: 2 fall short (1 cannot be read)") or "fall short" in out
    assert len(told(folder / "r.csv")) == 10
    code, out, _ = run("fleet", "check", "f/0000.onnx", "-o", "ok.jsonl", "--jobs", "1")
    assert code == 0
    assert run("-q", "fleet", "check", "f/0000.onnx", "-o", "ok.jsonl", "--jobs", "1")[1] == ""


def test_rules_can_be_left_out(run: Run, folder: Path) -> None:
    assert run("fleet", "check", "f", "-o", "r.csv", "--jobs", "1", "--ignore", "OT001,OT006")[0] == 1
    assert run("fleet", "check", "f/0004.onnx", "-o", "r.csv", "--jobs", "1", "--ignore", "OT001")[0] == 0


@pytest.mark.parametrize("ask", ["stats", "infer", "retag"])
def test_other_jobs(run: Run, folder: Path, ask: str) -> None:
    options = ["--into", "out"] if ask == "retag" else []
    code, _, _ = run("fleet", ask, "f/0000.onnx", "f/0001.onnx", "-o", "r.jsonl", "--jobs", "1", *options)
    assert code == 0
    assert [row.coverage for row in told(folder / "r.jsonl")] == [100.0, 100.0]


def test_report_adds_rows_up(run: Run, folder: Path) -> None:
    run("fleet", "check", "f", "-o", "r.jsonl", "--jobs", "1")
    code, out, _ = run("fleet", "report", "r.jsonl", "--html", "r.html")
    assert code == 0
    assert "what falls short" in out
    assert Path("r.html").read_text("utf-8").startswith("<!doctype html>")
    assert json.loads(run("fleet", "report", "r.jsonl", "--format", "json")[1])["files"] == 10
    assert run("fleet", "report", "no.jsonl")[0] == 2


def test_wrong_usage(run: Run, folder: Path) -> None:
    code, _, err = run("fleet", "retag", "f", "-o", "r.jsonl")
    assert (code, err.count("\n")) == (2, 1)
    assert "--into DIR" in err
    assert run("fleet", "check", "f", "-o", "r.txt")[0] == 2
    assert run("fleet", "check", "none*.onnx", "-o", "r.csv")[0] == 2
    assert run("fleet", "chek")[0] == 2
    code, out, _ = run("fleet", "--help")
    assert code == 0
    assert "report" in out
