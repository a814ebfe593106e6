"""Parts of a file in onnxruntime's blocked layout take and give plain tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

import onnx_tagger as ot
from examples.looped import TREE
from onnx_tagger.workflows.cutting.layouts import BLOCKED


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three convolutions in a row, as onnxruntime saves them at ALL where it has the blocked layout."""
    nodes, weights = [], []
    for given, name in (("x", "a"), ("a", "b"), ("b", "c")):
        nodes.append(helper.make_node("Conv", [given, f"{name}w"], [name], name, pads=[1, 1, 1, 1]))
        ot.write_tag(nodes[-1], TREE.tag(name, ot.Source.EXPORTED))
        random = np.random.default_rng(0).standard_normal((32, 32, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(random, f"{name}w"))
    values = [helper.make_tensor_value_info(name, 1, [1, 32, 8, 8]) for name in "xc"]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "fresh.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "raw.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(str(tmp_path / "fresh.onnx"), options, providers=["CPUExecutionProvider"])
    if all(node.domain != BLOCKED for node in onnx.load(tmp_path / "raw.onnx").graph.node):
        pytest.skip("onnxruntime has no blocked layout on this machine")
    ot.retag(tmp_path / "raw.onnx", tmp_path / "fresh.onnx", tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("module", ["a", "b", "c"])
def test_a_part_is_bit_equal_and_goes_back(file: Path, tmp_path: Path, module: str) -> None:
    (part,) = ot.extract(file, module, tmp_path / "p.onnx", verify=True).parts
    assert part.verified is True
    made = ot.splice(file, module, tmp_path / "p.onnx", tmp_path / "b.onnx", verify=True)
    assert made.errors == {"c": 0.0}
