"""The command infer, and capture of a file."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from examples.tiny import Run


def test_infer_saves_the_map_beside_the_file(run: Run, files: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"], "/block/act/Relu")
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])), files / "named.onnx")
    assert run("infer", "named.onnx") == (0, "named.hierarchy.json: 3 modules, 1 of 1 node (named 1)\n", "")
    assert run("capture", "named.onnx", "-o", "other.hierarchy.json")[0] == 0
    assert (files / "other.hierarchy.json").read_bytes() == (files / "named.hierarchy.json").read_bytes()
    assert run("infer", "named.onnx", "-o", "map.onnx")[0] == 2
    assert run("nodes", "named.onnx", "--source", "named")[0] == 0


def test_a_file_elsewhere_needs_a_name_for_its_map(run: Run, files: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/infer.onnx", (files / "tagged.onnx").read_bytes())
    code, _, err = run("infer", "memory://infer.onnx")
    assert (code, "name a file with -o" in err) == (2, True)
    assert run("infer", "memory://infer.onnx", "-o", "far.hierarchy.json")[0] == 0
    run("infer", "tagged.onnx", "-o", "near.hierarchy.json")
    assert (files / "far.hierarchy.json").read_bytes() == (files / "near.hierarchy.json").read_bytes()
