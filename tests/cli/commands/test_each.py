"""`each`: the table, and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from examples.staged import net

Run = Callable[..., tuple[int, str, str]]

COPY = "import shutil, sys; shutil.copy(*sys.argv[1:])"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "m.onnx")


def test_a_row_for_each_module(run: Run) -> None:
    tool = ("--", sys.executable, "-c", COPY, "{in}", "{out}")
    code, out, _ = run(
        "each", "m.onnx", "--modules", "blocks.*", "-o", "out.onnx", "--gain", "any", "--runs", "4", *tool
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split()[:3] == ["blocks.0", "put", "back"]
    assert lines[-1].startswith("out.onnx: 3 of 3 modules put back, ")
    assert Path("out.onnx").is_file()


def test_a_tool_that_fails_everywhere_exits_with_2(run: Run) -> None:
    tool = ("--", sys.executable, "-c", "raise SystemExit(3)", "{in}", "{out}")
    code, _, err = run("each", "m.onnx", "--modules", "blocks.0", "-o", "out.onnx", *tool)
    assert code == 2
    assert "fails on every module" in err
    assert "exit code 3" in err
    assert not Path("out.onnx").exists()
