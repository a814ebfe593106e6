"""Profiles that other runtimes wrote: OpenVINO's and onnxruntime's for real, TensorRT's by its documented form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_tagger as ot
from examples.profiled import SIDE, TREE, blocks, saved
from onnx_tagger.cli.main import run
from onnx_tagger.errors import TaggerError

PAGE = Path(__file__).parents[3] / "docs" / "attribute.md"


def openvino_profile(model: Path) -> dict[str, Any]:
    """What the snippet of the docs writes of a file."""
    openvino = pytest.importorskip("openvino")
    (code,) = re.findall(r"^(def openvino_profile.*?)\n\n\n", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    space: dict[str, Any] = {"ov": openvino}
    exec(code, space)
    compiled = openvino.Core().compile_model(str(model), "CPU", {"PERF_COUNT": True})
    made: dict[str, Any] = space["openvino_profile"](compiled, {"x": np.ones((8, SIDE), np.float32)}, runs=3)
    return made


@pytest.mark.parametrize("tagged", [True, False])
def test_openvino_is_attributed_in_full(tagged: bool, tmp_path: Path) -> None:
    saved(blocks(tagged=tagged), tmp_path / "m.onnx")
    (tmp_path / "p.json").write_text(json.dumps(openvino_profile(tmp_path / "m.onnx")))
    saved(blocks(), tmp_path / "map.onnx")
    hierarchy = None if tagged else tmp_path / "map.onnx"
    found = ot.attribute(tmp_path / "p.json", tmp_path / "m.onnx", hierarchy, force=not tagged)
    assert found.runtime == "OpenVINO"
    assert found.attributed == (1.0, 1.0)
    assert found.modules[""].total["kernels"] == len(found.kernels)
    done = {path for kernel in found.kernels if kernel.tag for path in kernel.tag.modules}
    assert {"blocks.0.linear", "blocks.1.linear"} <= done
    names = {kernel.name: kernel.joined for kernel in found.kernels}
    assert set(names.values()) <= {"name", "neighbours"}
    assert all(joined == "neighbours" or "Reorder" not in name for name, joined in names.items())


def test_names_with_commas_and_what_was_taken_apart(tmp_path: Path) -> None:
    model = blocks()
    model.graph.node[0].name = "a,b/MatMul"
    saved(model, tmp_path / "m.onnx")
    layers = [
        {"name": "L0", "originals": "a,b/MatMul,blocks.0.linear/Add/WithoutBiases", "us": [2.0]},
        {"name": "L1", "originals": "", "inputs": ["L0"], "us": [3.0]},
        {"name": "L2", "originals": "blocks.1/Relu", "inputs": ["L1"], "us": [4.0]},
        {"name": "L3", "originals": "who knows", "us": [1.0]},
        {"name": "L4", "originals": "blocks.0/Relu,blocks.1/Relu", "us": [5.0]},
    ]
    (tmp_path / "p.json").write_text(json.dumps({"format": "onnx-tagger/openvino-profile", "layers": layers}))
    found = ot.attribute(tmp_path / "p.json", tmp_path / "m.onnx")
    where = {k.name: (k.tag.module if k.tag else None, k.joined) for k in found.kernels}
    assert where == {
        "L0": ("blocks.0.linear", "name"),
        "L1": ("blocks.1", "neighbours"),
        "L2": ("blocks.1", "name"),
        "L3": (None, "none"),
        "L4": ("blocks", "name") if TREE.by_path["blocks"].tag else ("", "name"),
    }
    assert "20.0 % of the time is of layers without a name" in found.notes[0]


def test_tensorrt(tmp_path: Path) -> None:
    saved(blocks(), tmp_path / "m.onnx")
    profile = [{"count": 5}, {"name": "myl0", "averageMs": 0.25}, {"name": "blocks.1/Relu", "averageMs": 0.75}]
    layers = [{"Name": "myl0", "Metadata": "[ONNX Layer: blocks.0.linear/MatMul]\x1f[ONNX Layer: blocks.0/Relu]"}]
    (tmp_path / "p.json").write_text(json.dumps(profile))
    (tmp_path / "l.json").write_text(json.dumps({"Layers": layers}))
    found = ot.attribute(tmp_path / "p.json", tmp_path / "m.onnx", layers=tmp_path / "l.json")
    assert [found.modules[path].total["time"] for path in ("blocks.0", "blocks.1")] == [250.0, 750.0]


def test_onnxruntime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    saved(blocks(), tmp_path / "m.onnx")
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "ort")
    options.optimized_model_filepath = str(tmp_path / "o.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), options, providers=["CPUExecutionProvider"])
    for _ in range(8):
        session.run(None, {"x": np.ones((8, SIDE), np.float32)})
    path = session.end_profiling()
    ot.retag(tmp_path / "o.onnx", tmp_path / "m.onnx", tmp_path / "t.onnx")
    found = ot.attribute(path, tmp_path / "t.onnx")
    assert found.attributed == (1.0, 1.0)
    assert run(["attribute", path, "--model", str(tmp_path / "t.onnx"), "-o", str(tmp_path / "p.json")]) == 0
    assert "blocks.1" in capsys.readouterr().out
    assert ot.Profile.load(tmp_path / "p.json").attributed == (1.0, 1.0)
    assert run(["attribute", path, "--model", str(tmp_path / "t.onnx"), "--format", "trt"]) == 2


def test_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[]")
    with pytest.raises(TaggerError, match="choose from ort, openvino, trt"):
        ot.attribute(tmp_path / "p.json", "m.onnx", form="xla")
    with pytest.raises(TaggerError, match="is no profile of"):
        ot.attribute(tmp_path / "p.json", "m.onnx")
