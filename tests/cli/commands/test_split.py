"""`split`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from examples.staged import net
from onnx_tagger.runtime import chaining

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "m.onnx")


def test_a_row_for_each_stage_skips_and_the_verdict(run: Run) -> None:
    code, out, _ = run("split", "m.onnx", "--at", "embed | blocks.0 | **", "-o", "out", "--verify")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["stage", "holds", "nodes", "hoisted", "bytes", "takes", "bytes", "in"]
    assert lines[2].split()[:4] == ["stage1.onnx", "blocks.0", "5", "1"]
    assert lines[4:] == [
        "skip: embed from stage 0 to stage 2",
        "verified: the chained stages are bit-equal to the whole (1 output)",
    ]
    assert json.loads(Path("out/stages.json").read_text())["verified"] is True


def test_stages_that_are_found_show_what_they_cost(run: Run) -> None:
    code, out, _ = run("split", "m.onnx", "--balance", "2", "--by", "flops", "-o", "out")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["flops", "128", "128"]


def test_json_is_that_of_the_file(run: Run) -> None:
    code, out, _ = run("split", "m.onnx", "--balance", "2", "-o", "out", "--json")
    assert code == 0
    assert json.loads(out) == json.loads(Path("out/stages.json").read_text())


def test_a_difference_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaining, "same", lambda one, other: False)
    code, out, _ = run("split", "m.onnx", "--balance", "2", "-o", "out", "--verify")
    assert code == 1
    assert out.splitlines()[-1] == "differ from the whole: y"
    assert json.loads(Path("out/stages.json").read_text())["verified"] is False


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--at", "embed | block.0"), "did you mean"),
        (("--at", "** | embed"), "would be empty"),
        ((), "one of --at and --balance"),
        (("--balance", "99"), "too few"),
        (("--balance", "2", "--by", "time", "--profile", "m.onnx"), "m.onnx"),
    ],
)
def test_what_cannot_be_done(run: Run, args: tuple[str, ...], words: str) -> None:
    code, out, err = run("split", "m.onnx", "-o", "out", *args)
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("out").exists()
