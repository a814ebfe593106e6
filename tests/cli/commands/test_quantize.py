"""`onnx-tagger quantize`: exit codes, what is printed, and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.quantised import net, samples
from examples.tiny import Run
from onnx_tagger.measures.quantising import Quantized

pytest.importorskip("onnxruntime")


@pytest.fixture(name="folder", autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    net(tmp_path / "m.onnx")
    (tmp_path / "data").mkdir()
    for number, sample in enumerate(samples()):
        np.savez(tmp_path / "data" / f"{number}.npz", **sample)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_target_that_is_met_and_one_that_is_not(run: Run) -> None:
    static = ("quantize", "m.onnx", "-o", "q.onnx", "--static", "--calibrate", "data")
    code, out, _ = run(*static, "--min-sqnr", "10", "--report", "r.json")
    assert code == 0
    assert "q.onnx: 100 % of its nodes tagged" in out
    assert Quantized.load("r.json").ok
    code, out, _ = run(*static, "--min-sqnr", "199")
    assert code == 1
    assert "missed: signal to noise is" in out


def test_dynamic(run: Run) -> None:
    code, out, _ = run("quantize", "m.onnx", "-o", "q.onnx", "--dynamic", "--keep", "head")
    assert code == 0
    assert "kept in float: head" in out


def test_wrong_usage(run: Run) -> None:
    for args in (("-o", "q.onnx"), ("-o", "q.onnx", "--static", "--dynamic"), ("-o", "q.onnx", "--static")):
        code, _, err = run("quantize", "m.onnx", *args)
        assert code == 2
        assert err.count("\n") == 1
    assert run("quantize", "m.onnx", "-o", "m.onnx", "--dynamic")[0] == 2
    assert run("quantize", "m.onnx", "-o", "q.onnx", "--dynamic", "--keep", "nobody")[0] == 2
