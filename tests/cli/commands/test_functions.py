"""`functions`: what it says, and its exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("nets")


def test_there_and_back(run: Run) -> None:
    code, out, err = run("functions", "before.onnx", "-o", "folded.onnx")
    assert (code, out) == (0, "folded.onnx: 6 -> 3 nodes in the main graph, 5 functions with 5 calls\n")
    assert err == "in line: layers.1.fc: lies in the body of a node\n"
    assert {function.name for function in onnx.load("folded.onnx").functions} >= {"Blk", "Linear", "ReLU"}
    assert run("functions", "folded.onnx", "--inline", "-o", "flat.onnx")[0] == 0
    assert len(onnx.load("flat.onnx").graph.node) == 6
    assert run("functions", "before.onnx", "--depth", "1", "--no-share", "--quiet", "-o", "one.onnx")[:2] == (0, "")
    assert {function.name for function in onnx.load("one.onnx").functions} == {"Blk", "Blk_1"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("plain.onnx", "-o", "out.onnx"), "no node has a tag"),
        (("before.onnx", "--inline", "-o", "out.onnx"), "holds no modules as functions"),
        (("before.onnx", "-o", "before.onnx"), "under another option"),
        (("before.onnx", "-o", "nowhere/out.onnx"), "no such folder"),
        (("missing.onnx", "-o", "out.onnx"), "missing.onnx"),
    ],
)
def test_what_cannot_be_done(run: Run, args: tuple[str, ...], words: str) -> None:
    code, out, err = run("functions", *args)
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("out.onnx").exists()
