"""Running command lines in the process of the test, and the files that they are given."""

import sys
from pathlib import Path

import onnx
import pytest

from examples.tiny import TREE, Run, tiny_model
from onnx_tagger.cli import main
from onnx_tagger.workflows import retagging


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: exit code, stdout, stderr."""

    def call(*args: str | Path) -> tuple[int, str, str]:
        code = main.run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plain.onnx, tagged.onnx and tiny.hierarchy.json, which is the current one."""
    onnx.save(tiny_model(), tmp_path / "plain.onnx")
    TREE.save(tmp_path / "tiny.hierarchy.json")
    retagging.retag(tmp_path / "plain.onnx", tmp_path / "tiny.hierarchy.json", tmp_path / "tagged.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
