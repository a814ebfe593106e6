"""Running files in onnxruntime: external data is found, and nothing is pretended without it."""

from __future__ import annotations

import builtins
import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from examples.running import exported, saved
from onnx_tagger.cli import main
from onnx_tagger.runtime.sessions import optimise, tensors_of
from onnx_tagger.runtime.verify import Verification, verify

pytest.importorskip("onnxruntime")


def test_without_onnxruntime_nothing_is_pretended(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find, load = importlib.util.find_spec, builtins.__import__

    def blocked(name: str, *args: object, **options: object) -> object:
        if name.partition(".")[0] == "onnxruntime":
            raise ImportError(name)
        return load(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    monkeypatch.setattr(builtins, "__import__", blocked)
    assert main.run(["retag", "renamed.onnx", "--map", "net.hierarchy.json", "-o", "out.onnx", "--verify"]) == 2
    assert (
        "verifying needs onnxruntime, which is not installed: pip install 'onnx-tagger[ort]'" in capsys.readouterr().err
    )
    assert not Path("out.onnx").exists()


def test_external_data_is_found(files: Path) -> None:
    folder = files / "apart"
    folder.mkdir()
    onnx.save(exported(), folder / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    found = verify(folder / "big.onnx", files / "bare.onnx")
    assert isinstance(found, Verification)
    assert (found.differing, len(found.agreed)) == ((), 5)


def test_all_tensors_of_the_main_graph_are_told(files: Path) -> None:
    x, mask = np.ones((3, 4), np.float32), np.ones((3, 4), np.int64)
    found = tensors_of(files / "net.onnx", {"x": x, "m": mask, "nobody reads this": x})
    assert set(found) == {"xw", "r", "mf", "p", "out"}
    weight = numpy_helper.to_array(exported().graph.initializer[0])
    np.testing.assert_allclose(found["xw"], x @ weight, rtol=1e-5)


def test_what_onnxruntime_makes_of_a_file_is_saved(files: Path) -> None:
    made = exported()
    made.graph.node.insert(4, helper.make_node("Identity", ["p"], ["same"], "idle"))
    made.graph.node[5].input[0] = "same"
    optimise(saved(made, "idle.onnx"), Path("best.onnx"))
    best = onnx.load("best.onnx")
    assert "Identity" not in {node.op_type for node in best.graph.node}
    feeds = {"x": np.ones((3, 4), np.float32), "m": np.ones((3, 4), np.int64)}
    np.testing.assert_allclose(tensors_of("best.onnx", feeds)["out"], tensors_of("idle.onnx", feeds)["out"], rtol=1e-5)
