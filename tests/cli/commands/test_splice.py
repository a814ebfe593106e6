"""`splice`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from examples.staged import net

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "m.onnx")
    run("extract", "m.onnx", "blocks.1", "-o", "p.onnx")


def test_what_was_replaced_and_the_verdict(run: Run) -> None:
    code, out, _ = run("splice", "m.onnx", "blocks.1", "p.onnx", "-o", "b.onnx", "--verify")
    assert code == 0
    assert out.splitlines() == [
        "b.onnx: 3 nodes of blocks.1 replaced by 4 of p.onnx",
        "  takes b0 as blocks.0/b0",
        "  takes mask as late/mask",
        "  gives b1 as output",
        "  verified: bit-equal outputs",
    ]


def test_another_value_exits_with_1(run: Run) -> None:
    model = onnx.load("p.onnx")
    model.graph.node[-1].op_type = "Neg"
    onnx.save(model, "p.onnx")
    code, out, _ = run("splice", "m.onnx", "blocks.1", "p.onnx", "-o", "b.onnx", "--verify", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_what_does_not_fit_exits_with_2(run: Run) -> None:
    code, _, err = run("splice", "m.onnx", "embed", "p.onnx", "-o", "b.onnx")
    assert code == 2
    assert "is none of the module's" in err
    assert not Path("b.onnx").exists()
