"""A file's outputs compared with expected ones: tolerances by type, masks, NaN, files that cannot be run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("onnxruntime")

from onnx_tagger.runtime.agreement import TOLERANCES, NotComparedError, agreement, difference, tolerance

LOW = float(np.finfo(np.float32).min)


@pytest.mark.parametrize(
    ("wanted", "found", "off"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([1.0, -4.0], [1.0, -3.0], 0.25),
        ([1e-9, 4.0], [0.0, 4.0], 2.5e-10),
        ([1.0, LOW], [1.5, LOW], 0.5),
        ([1.0, 2.0, -1e9], [1.5, 2.0, -1e9], 0.25),
        ([1e-9, 2e-9, 3e-9, 4.0], [3e-9, 1e-9, 2e-9, 4.0], 5e-10),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0),
        ([np.inf, 1.0], [-np.inf, 1.0], np.inf),
        ([0.0, 0.0], [0.0, 1e-3], np.inf),
        ([], [], 0.0),
    ],
)
def test_difference(wanted: list[float], found: list[float], off: float) -> None:
    assert difference(np.array(wanted), np.array(found)) == pytest.approx(off)


def test_difference_of_integers_and_shapes() -> None:
    assert difference(np.array([1, 2]), np.array([1, 5])) == 3
    assert difference(np.array([2**60]), np.array([2**60 + 1])) >= 1
    assert difference(np.array([True]), np.array([False])) == 1
    assert difference(np.zeros((2, 1)), np.zeros(2)) == np.inf
    assert difference(np.zeros(2), np.zeros(2, dtype=np.int64)) == np.inf


def test_tolerance_goes_by_the_coarsest_type() -> None:
    assert tolerance(np.dtype(np.int64), "quantised") == 0
    assert tolerance(np.dtype(np.float32)) == TOLERANCES["float32"]
    assert tolerance(np.dtype(np.float32), "bfloat16") == TOLERANCES["bfloat16"]
    assert tolerance(np.dtype(np.float64)) == TOLERANCES["float64"]


def saved(path: Path, op: str = "Mul", kind: int = TensorProto.FLOAT, weight: object = np.float32) -> Path:
    """A file that multiplies its input with 2 and also counts its elements."""
    two = numpy_helper.from_array(np.full(3, 2, dtype=weight), "w")  # type: ignore[call-overload]
    nodes = [helper.make_node(op, ["x", "w"], ["y"]), helper.make_node("Size", ["x"], ["n"])]
    inputs = [helper.make_tensor_value_info("x", kind, [3])]
    outputs = [helper.make_tensor_value_info("y", kind, [3]), helper.make_tensor_value_info("n", TensorProto.INT64, [])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [two])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


X = np.array([1, 2, 4], dtype=np.float32)


def test_outputs_that_agree(tmp_path: Path) -> None:
    found = agreement(saved(tmp_path / "m.onnx"), {"x": X}, [X * 2, np.array(3)])
    assert found.agrees
    assert found.as_dict() == {"outputs": 2, "largest_difference": 0.0, "tolerance": 1e-4, "agrees": True}


def test_an_output_that_differs_is_named(tmp_path: Path) -> None:
    found = agreement(saved(tmp_path / "m.onnx"), {"x": X}, [X * 3, np.array(3)])
    assert found.differing == ["y"]
    assert found.as_dict()["largest_difference"] == pytest.approx(1 / 3)
    assert "m.onnx: on the example inputs, the output 'y' is off by 3.3e-01 of its scale (at most 0.0001" in (
        found.sentence("m.onnx")
    )
    found = agreement(tmp_path / "m.onnx", {"x": X}, [X * 2, np.array(4)])
    assert found.differing == ["n"]
    assert "'n' holds other integers (off by up to 1)" in found.sentence("m.onnx")
    found = agreement(tmp_path / "m.onnx", {"x": X}, [X[:2], np.array(4)])
    assert found.as_dict()["largest_difference"] is None
    assert "has another shape" in found.sentence("m.onnx")
    assert "2 of 2 outputs differ" in found.sentence("m.onnx")


def test_half_precision_is_looser(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", kind=TensorProto.FLOAT16, weight=np.float16)
    wanted = X.astype(np.float16) * np.float16(2.01)
    assert agreement(path, {"x": X}, [wanted, np.array(3)]).agrees
    assert not agreement(path, {"x": X}, [wanted * np.float16(1.1), np.array(3)]).agrees


def test_external_data_is_found_beside_the_file(tmp_path: Path) -> None:
    model = onnx.load(saved(tmp_path / "whole.onnx"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="m.data")
    assert agreement(tmp_path / "m.onnx", {"x": X}, [X * 2, np.array(3)]).agrees


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx")
    with pytest.raises(NotComparedError, match="the file has 2 outputs, the model returns 1 tensors"):
        agreement(path, {"x": X}, [X])
    with pytest.raises(NotComparedError, match="does not run the file"):
        agreement(path, {}, [X, X])
    with pytest.raises(NotComparedError, match="'y' is no tensor of numbers"):
        agreement(path, {"x": X}, [X.astype(np.complex64), X])
    with pytest.raises(NotComparedError, match="does not load the file"):
        agreement(saved(tmp_path / "no.onnx", op="NoSuchOperator"), {"x": X}, [X, X])
