"""`view`: the form that a suffix or an option says, and its exit codes; files are the reporters' matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

Run = Callable[..., tuple[int, str, str]]

BEGINNINGS = {
    "out.html": "<!doctype html>",
    "out.SVG": "<svg ",
    "out.me.json": '{"label": "after.onnx"',
    "out.overlay.json": '{"name": "source',
}

pytestmark = pytest.mark.usefixtures("nets")


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_suffix_says_the_form(run: Run, name: str) -> None:
    code, out, err = run("view", "after.onnx", "-o", name)
    assert (code, err) == (0, "")
    assert out == f"{name}: 6 nodes in 8 modules, {Path(name).stat().st_size} bytes\n"
    assert Path(name).read_text("utf-8").startswith(BEGINNINGS[name])
    assert run("view", "after.onnx", "-o", name, "--quiet") == (0, "", "")


def test_a_form_by_name(run: Run) -> None:
    assert run("view", "after.onnx", "-o", "picture", "--format", "svg")[0] == 0
    assert Path("picture").read_text("utf-8").startswith("<svg ")


def test_measures_and_an_earlier_file(run: Run) -> None:
    assert run("view", "after.onnx", "-o", "w.overlay.json", "--measure", "weights")[0] == 0
    assert json.loads(Path("w.overlay.json").read_text("utf-8"))["name"] == "weights (B)"
    assert run("view", "after.onnx", "-o", "c.svg", "--before", "before.onnx", "--map", "net.hierarchy.json")[0] == 0
    assert "width: nodes after" in Path("c.svg").read_text("utf-8")


def test_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(typer, "launch", shown.append)
    assert run("view", "after.onnx", "-o", "out.html", "--open")[0] == 0
    assert shown == [str(Path("out.html").resolve())]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("after.onnx", "-o", "out.txt"), "its suffix stands for no form"),
        (("after.onnx", "-o", "out", "--format", "pdf"), "'pdf'"),
        (("after.onnx", "-o", "after.onnx", "--format", "svg"), "under another option"),
        (("missing.onnx", "-o", "out.html"), "missing.onnx"),
        (("after.onnx", "-o", "out.html", "--measure", "wieghts"), "wieghts"),
    ],
)
def test_what_cannot_be_done(run: Run, args: tuple[str, ...], words: str) -> None:
    code, out, err = run("view", *args)
    assert (code, out) == (2, "")
    assert words in err
    assert not list(Path().glob("out*"))


def test_a_file_elsewhere_is_shown(run: Run) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/view.onnx", Path("after.onnx").read_bytes())
    assert run("view", "memory://view.onnx", "--before", "before.onnx", "-o", "far.overlay.json")[0] == 0
    assert run("view", "after.onnx", "--before", "before.onnx", "-o", "near.overlay.json")[0] == 0
    assert Path("far.overlay.json").read_bytes() == Path("near.overlay.json").read_bytes()
