"""Running command lines in this process, and the files that commands which look at a file are tried on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from onnx_tagger.cli import main
from onnx_tagger.hierarchy.map import HierarchyMap

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: exit code, stdout, stderr."""

    def call(*args: str | Path) -> tuple[int, str, str]:
        code = main.run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line as if a person looked at stdout and stderr."""
    monkeypatch.setenv("TERM", "xterm")

    def call(*args: str | Path) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for stream in (sys.stdout, sys.stderr):
                patch.setattr(stream, "isatty", lambda: True)
            return run(*args)

    return call


@pytest.fixture
def nets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, net: Callable[..., onnx.ModelProto], net_map: HierarchyMap
) -> Path:
    """A folder, the current one, with before.onnx, after.onnx, plain.onnx without tags, and net.hierarchy.json."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "before.onnx")
    onnx.save(net(after=True), "after.onnx")
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"], "n")], "g", [], [])),
        "plain.onnx",
    )
    net_map.save("net.hierarchy.json")
    return tmp_path
