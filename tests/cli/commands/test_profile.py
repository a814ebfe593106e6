"""The command `profile`: what it prints, what it writes, and what it refuses."""

import json
from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.profiled import TREE, blocks, looping, saved
from examples.tiny import Run

QUICK = ("--sessions", "2", "--runs", "3")


@pytest.fixture(name="here")
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    saved(blocks(), tmp_path / "m.onnx")
    saved(blocks(tagged=False), tmp_path / "bare.onnx")
    TREE.save(tmp_path / "m.hierarchy.json")
    return tmp_path


def test_a_table_by_module(run: Run, here: Path) -> None:
    code, out, err = run("profile", "m.onnx", *QUICK)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("m.onnx: onnxruntime ")
    assert lines[0].endswith("level all, CPU, 1 thread")
    assert "100 % of them and 100 % of their time have a module" in out
    assert [line.split()[0] for line in lines[5:9]][:2] == ["module", "(root)"]
    assert any(line.startswith("blocks.1 ") for line in lines)
    # A container has no time of its own.
    assert not any(line.startswith("blocks ") for line in lines)
    assert "inputs are random (seed 0): x 8x64" in err


def test_every_file(run: Run, here: Path) -> None:
    names = {"csv": "c.csv", "html": "h.html", "trace": "t.json", "speedscope": "s.json", "overlay": "o.json"}
    options = [text for name, file in names.items() for text in (f"--{name}", file)]
    code, _, _ = run("profile", "m.onnx", *QUICK, "-o", "p.json", *options)
    assert code == 0
    profile = ot.Profile.load("p.json")
    assert profile.attributed == (1.0, 1.0)
    assert Path("c.csv").read_text().startswith("module,class,tag,kernels own,kernels total,time (µs) own")
    assert Path("h.html").read_text().startswith("<!doctype html>")
    assert len(json.loads(Path("t.json").read_text())["traceEvents"]) > len(profile.kernels)
    assert json.loads(Path("s.json").read_text())["profiles"][0]["type"] == "evented"
    assert set(json.loads(Path("o.json").read_text())["results"]) == {kernel.name for kernel in profile.kernels}


def test_markdown(run: Run, here: Path) -> None:
    code, out, _ = run("profile", "m.onnx", *QUICK, "--markdown")
    assert (code, out.splitlines()[0][:11]) == (0, "| module | ")


@pytest.mark.parametrize(("by", "row"), [("class", "Linear"), ("operator", "MatMul"), ("call", "blocks.0.linear")])
def test_other_rows(run: Run, here: Path, by: str, row: str) -> None:
    code, out, _ = run("profile", "m.onnx", "--level", "disable", "--by", by, *QUICK)
    assert code == 0
    assert any(line.split()[:1] == [row] for line in out.splitlines())


def test_rows_are_chosen_and_sorted(run: Run, here: Path) -> None:
    code, out, _ = run("profile", "m.onnx", "--under", "blocks.1", "--level", "disable", "--sort", "order", *QUICK)
    assert code == 0
    rows = [line.split()[0] for line in out.splitlines() if line.startswith("blocks")]
    assert rows == ["blocks.1", "blocks.1.linear"]
    code, out, _ = run("profile", "m.onnx", "--depth", "0", *QUICK)
    assert not any(line.startswith("blocks") for line in out.splitlines())


def test_roofline_and_memory_add_columns(run: Run, here: Path) -> None:
    code, out, _ = run("profile", "m.onnx", "--roofline", "--memory", *QUICK)
    assert code == 0
    assert "GFLOP/s  % of the roof  live at peak B" in out
    assert "GFLOP/s in a matrix product" in out


def test_ways_are_compared_in_one_table(run: Run, here: Path) -> None:
    code, out, err = run(
        "profile",
        "m.onnx",
        "--level",
        "all",
        "--level",
        "disable",
        "--set",
        "enable_mem_pattern=0",
        *QUICK,
        "-o",
        "p.json",
    )
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["way", "all", "disable", "all"]
    assert "files hold the profile of all, the first way" in err
    assert ot.Profile.load("p.json").settings["level"] == "all"


def test_a_file_without_modules_by_operator(run: Run, here: Path) -> None:
    code, out, err = run("profile", "bare.onnx", *QUICK)
    assert code == 0
    assert "0.0 % of them" in out
    assert out.splitlines()[5].startswith("operator")
    assert "no map was given: times are by operator" in err
    code, out, _ = run("profile", "bare.onnx", "--map", "m.onnx", *QUICK)
    assert "100 % of their time" in out


def test_settings_are_listed(run: Run) -> None:
    code, out, _ = run("profile", "--list-settings")
    assert code == 0
    assert "session.set_denormal_as_zero  " in out


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("m.onnx", "--set", "cpu_memory_layout=1"), "the nearest is"),
        (("m.onnx", "--level", "fast"), "no optimisation level is 'fast'"),
        (("m.onnx", "--provider", "abacus"), "no provider 'abacus'"),
        (("missing.onnx",), "missing.onnx"),
        (("m.onnx", "--map", "missing.json"), "missing.json"),
        (("m.onnx", "--inputs", "missing.npz"), "missing.npz"),
        (("m.onnx", "--by", "colour"), "'colour' is not one of"),
        (("m.onnx", "--sort", "colour"), "no column is named 'colour'"),
        (("m.onnx", "--under", "nowhere"), "nowhere"),
        (("m.onnx", "-o", "m.onnx"), "is read or written by this very command"),
        (("m.onnx", "--csv", "no/c.csv"), "no such folder"),
    ],
)
def test_what_cannot_be_used_is_said(run: Run, here: Path, args: tuple[str, ...], sentence: str) -> None:
    before = sorted(path.name for path in here.iterdir())
    code, out, err = run("profile", *args, "--sessions", "1", "--runs", "1")
    assert (code, out) == (2, "")
    assert sentence in err
    assert sorted(path.name for path in here.iterdir()) == before


def test_bodies_add_up(run: Run, here: Path) -> None:
    saved(looping(), here / "loop.onnx")
    code, out, _ = run("profile", "loop.onnx", *QUICK)
    assert code == 0
    assert any(line.split()[:2] == ["MatMul", "1"] for line in out.splitlines())
