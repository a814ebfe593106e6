"""`extract`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from examples.looped import looped
from examples.staged import net
from onnx_tagger.runtime import parting

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "m.onnx")
    onnx.save(looped(), "looped.onnx")


def test_the_border_of_one_module_and_the_verdict(run: Run) -> None:
    code, out, _ = run("extract", "m.onnx", "blocks.1", "-o", "p.onnx", "--verify")
    assert code == 0
    assert out.splitlines()[1:] == [
        "  copied in: 1 node of constants and shape arithmetic of other modules",
        "  takes blocks.0/b0: b0, of blocks.0",
        "  takes late/mask: mask, of late",
        "  gives output: b1, of blocks.1",
        "  map: p.hierarchy.json",
        "  verified: bit-equal to the whole file",
    ]


def test_a_row_for_each_module_and_the_refused_with_a_reason(run: Run) -> None:
    code, out, _ = run("extract", "looped.onnx", "*", "-o", "out")
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["b", "b.onnx"]
    assert "refused: a: its own results come back to it through Tanh 'b0' of b" in out
    assert out.splitlines()[-1] == "2 modules written, 1 refused"


def test_a_difference_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "same", lambda one, other: False)
    code, out, _ = run("extract", "m.onnx", "blocks.1", "-o", "p.onnx", "--verify")
    assert code == 1
    assert "verified: differs in output" in out


def test_the_filter_refuses_with_1_and_is_forced(run: Run) -> None:
    code, out, _ = run("extract", "looped.onnx", "--drop", "b", "-o", "f.onnx")
    assert code == 1
    assert out.startswith("not written: 3 nodes kept, 1 left out\n  unsafe: ")
    assert run("extract", "looped.onnx", "--drop", "b", "-o", "f.onnx", "--force")[0] == 0


def test_wrong_usage_exits_with_2(run: Run) -> None:
    code, _, err = run("extract", "m.onnx", "-o", "p.onnx")
    assert code == 2
    assert "give MODULE, or --keep and --drop" in err
    assert run("extract", "looped.onnx", "a", "-o", "p.onnx")[0] == 2
    assert not Path("p.onnx").exists()


def test_json(run: Run) -> None:
    code, out, _ = run("extract", "m.onnx", "blocks.1", "-o", "p.onnx", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["ok"] is True
    assert found["parts"][0]["inputs"][0] == {"name": "blocks.0/b0", "source": "b0", "owner": "blocks.0"}
