"""What every command with a table takes: --html, --csv and --markdown."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

COMMANDS = {
    "tree": (("tree", "after.onnx"), 0),
    "tree of what is left": (("tree", "after.onnx", "--before", "before.onnx", "--under", "layers.*"), 0),
    "stats": (("stats", "after.onnx", "--measure", "weights"), 0),
    "diff": (("diff", "before.onnx", "after.onnx"), 1),
}

pytestmark = pytest.mark.usefixtures("nets")


@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_written_beside_what_is_shown(run: Run, command: str) -> None:
    words, code = COMMANDS[command]
    assert run(*words, "--html", "page.html", "--csv", "table.csv") == run(*words)
    assert Path("page.html").read_text("utf-8").startswith("<!doctype html>")
    with Path("table.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream, strict=True)
    assert header[:3] == ["module", "class", "tag"]
    assert rows[-1][0] == "(none)"
    assert run(*words)[0] == code


@pytest.mark.parametrize("command", COMMANDS)
def test_markdown(run: Run, command: str) -> None:
    words, code = COMMANDS[command]
    found, out, _ = run(*words, "--markdown")
    assert (found, out.splitlines()[0][:11]) == (code, "| module | ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_a_target_that_cannot_be_written_is_refused_before_any_work(run: Run, command: str, option: str) -> None:
    words, _ = COMMANDS[command]
    model = words[1]
    before = Path(model).read_bytes()
    for target in (model, ".", "nowhere/x"):
        code, out, err = run(*words, option, target)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert run(*words, "--html", "both", "--csv", "both")[0] == 2
    assert Path(model).read_bytes() == before
    assert not Path("both").exists()
