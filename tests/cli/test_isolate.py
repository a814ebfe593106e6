"""--isolate: a model that kills its process takes neither the command nor another strategy with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.deadly import DEADLY

pytest.importorskip("torch")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deadly.py").write_text(DEADLY, encoding="utf-8")
    return tmp_path


def run(folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a user calls it."""
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    (folder / "temporary").mkdir(exist_ok=True)
    call = [sys.executable, "-m", "onnx_tagger", *line]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, env=environment, check=False)


def files(folder: Path) -> list[str]:
    """What lies there, but for the source and what Python and torch keep for themselves."""
    left = [path.name for path in (folder / "temporary").glob("onnx-tagger-*")]
    return sorted(left + [path.name for path in folder.iterdir() if path.suffix != ".py" and not path.is_dir()])


def test_export_takes_the_next_strategy_and_says_why(folder: Path) -> None:
    done = run(folder, "export", "deadly.py:by_fx", "-o", "m.onnx", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    assert "strategy htp" in done.stdout
    report = json.loads((folder / "r.json").read_text())
    assert report["fallbacks"] == ["auto took htp, since fx: its process was killed by SIGSEGV"]
    assert report["strategy"] == "htp"
    assert files(folder) == ["m.hierarchy.json", "m.onnx", "r.json"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("export", "deadly.py:always", "-o", "m.onnx"), "SIGSEGV in the phase 'capture'"),
        (("capture", "deadly.py:always", "-o", "m.json"), "SIGSEGV in the phase 'run it'"),
        (("export", "deadly.py:while_loading", "-o", "m.onnx"), "SIGKILL, as the system does when memory runs out"),
    ],
    ids=["export", "capture", "loading"],
)
def test_a_model_that_cannot_even_run_is_a_sentence(line: tuple[str, ...], said: str, folder: Path) -> None:
    done = run(folder, *line)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"onnx-tagger: {line[1]}: its process was killed by ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert files(folder) == []


def test_an_error_that_is_none_of_the_process_stays_what_it_is(folder: Path) -> None:
    done = run(folder, "export", "deadly.py:wrong", "-o", "m.onnx")
    said = "onnx-tagger: deadly.py:wrong: wrong() in deadly.py failed: ValueError: no model today\n"
    assert (done.returncode, done.stderr) == (2, said)
    debug = run(folder, "export", "deadly.py:wrong", "-o", "m.onnx", "--debug")
    assert 'raise ValueError("no model today")' in debug.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["strategies", "bench"])
def test_the_others_are_compared_without_it(command: str, folder: Path) -> None:
    options = {"strategies": (), "bench": ("--rounds", "1")}[command]
    done = run(folder, command, "deadly.py:by_htp", *options)
    assert done.returncode == 0, done.stderr
    assert "htp failed: its process was killed by SIGSEGV" in done.stdout
    never = run(folder, command, "deadly.py:always", *options)
    assert never.returncode == 2
    assert never.stderr.startswith("onnx-tagger: deadly.py:always: its process was killed by SIGSEGV")
    assert files(folder) == []


@pytest.mark.slow
def test_when_each_strategy_kills_its_process_the_error_names_both(folder: Path) -> None:
    done = run(folder, "export", "deadly.py:by_both", "-o", "m.onnx")
    assert done.returncode == 2
    assert "fx: its process was killed by SIGSEGV; htp: its process was killed by SIGSEGV" in done.stderr
    assert files(folder) == []


@pytest.mark.slow
def test_no_isolate_runs_it_in_the_commands_own_process(folder: Path) -> None:
    assert run(folder, "capture", "deadly.py:always", "-o", "m.json", "--no-isolate").returncode == -11
