"""The command compare: exit codes, recordings, files that it writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import onnx_tagger as ot
from examples.faulty import net, spoiled

Run = Callable[..., tuple[int, str, str]]

FACTORY = "from examples.faulty import net\n\ndef made():\n    return net()\n"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models.py, good.onnx and bad.onnx, which is spoiled in `blocks.1.up`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(FACTORY, encoding="utf-8")
    ot.export(*net(), tmp_path / "good.onnx")
    spoiled(tmp_path / "good.onnx", tmp_path / "bad.onnx", "blocks.1.up")
    return tmp_path


def test_a_model_beside_its_file(run: Run, folder: Path) -> None:
    code, out, _ = run("compare", "models.py:made", "good.onnx")
    assert code == 0
    assert out.startswith("good.onnx beside Net: no module differs\n")
    code, out, _ = run("compare", "models.py:made", "bad.onnx", "--ops")
    assert code == 1
    assert "bad.onnx beside Net: 1 module differs, first blocks.1.up\n" in out
    assert "is the first to compute what the reference does not" in out


def test_a_recording_is_made_and_used(run: Run, folder: Path) -> None:
    code, out, err = run("compare", "models.py:made", "--record", "r.npz")
    assert (code, out) == (0, "")
    assert "r.npz: " in err
    assert run("compare", "r.npz", "good.onnx")[0] == 0
    code, out, _ = run("compare", "r.npz", "bad.onnx", "--format", "json")
    assert (code, json.loads(out)["first_bad"]) == (1, "blocks.1.up")
    assert run("compare", "good.onnx", "bad.onnx", "--record", "s.npz", "--quiet")[0] == 1
    assert run("compare", "s.npz", "good.onnx")[0] == 0


def test_files_that_it_writes(run: Run, folder: Path) -> None:
    options = ["--html", "c.html", "--csv", "c.csv", "--overlay", "o.json", "--save", "c.json", "--under", "blocks.1"]
    code, out, _ = run("compare", "good.onnx", "bad.onnx", *options)
    assert code == 1
    assert "blocks.0" not in out
    assert ot.Comparison.load("c.json").first_bad == "blocks.1.up"
    assert Path("c.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert Path("c.csv").read_text(encoding="utf-8").splitlines()[0].startswith("module")
    overlay = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert max(each["value"] for each in overlay["results"].values()) > 1e-3


def test_values_of_a_file(run: Run, folder: Path) -> None:
    np.savez("v.npz", x=np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32))
    for reference in ("models.py:made", "good.onnx"):
        assert run("compare", reference, "good.onnx", "--inputs", "v.npz")[0] == 0
        assert run("compare", reference, "bad.onnx", "--inputs", "v.npz", "--samples", "2")[0] == 1
    Path("spec.json").write_text('{"x": {"dtype": "float32", "shape": [2, 5, 8]}}', encoding="utf-8")
    assert run("compare", "models.py:made", "good.onnx", "--inputs", "spec.json")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["good.onnx"], "no file is named to compare with it; give B.onnx, or --record R.npz"),
        (["good.onnx", "missing.onnx"], "missing.onnx"),
        (["missing.npz", "good.onnx"], "cannot be read as a recording"),
        (["good.onnx", "bad.onnx", "--save", "bad.onnx"], "is read or written by this very command"),
        (["good.onnx", "bad.onnx", "--metric", "psnr"], "'psnr' is not one of"),
        (["good.onnx", "bad.onnx", "--under", "elsewhere"], "elsewhere"),
    ],
)
def test_what_it_refuses(arguments: list[str], sentence: str, run: Run, folder: Path) -> None:
    code, out, err = run("compare", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
