"""`onnx-tagger sensitivity`: a table, JSON, and a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from examples.quantised import net, samples
from examples.tiny import Run
from onnx_tagger.measures.quantising import Sensitivity

pytest.importorskip("onnxruntime")


def test_the_costliest_module_comes_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net(tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", **samples()[0])
    code, out, err = run("sensitivity", "m.onnx", "--calibrate", "d.npz", "-o", "s.json")
    assert code == 0
    assert out.splitlines()[1].startswith("head")
    assert "one sample" in err
    found = Sensitivity.load("s.json")
    assert (
        json.loads(run("sensitivity", "m.onnx", "--calibrate", "d.npz", "--json")[1])["modules"][0]["module"] == "head"
    )
    assert found.modules[0].module == "head"
    assert run("sensitivity", "m.onnx", "--calibrate", "no.npz")[0] == 2
    assert run("sensitivity", "m.onnx", "--calibrate", "d.npz", "--only", "nobody")[0] == 2
