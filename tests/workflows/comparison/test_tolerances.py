"""How far tensors may be off: by type, and by the noise of rounding."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from examples.faulty import file_of, tagged
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.comparison.borders import Borders
from onnx_tagger.workflows.comparison.pairing import Scale
from onnx_tagger.workflows.comparison.tolerances import Tolerances, noise_of, scale_names, scales_of


def tolerances(model: onnx.ModelProto, **dtypes: np.dtype[np.generic]) -> Tolerances:
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    found = Tolerances("sqnr", 1e-5, Borders.of(read_tags(model), {}), types, ranks)
    found.settle([value.name for value in model.graph.output], dtypes)
    return found


def test_float32_may_be_off_by_what_was_asked_for() -> None:
    found = tolerances(file_of(tagged(helper.make_node("Relu", ["x"], ["out"]), "a")))
    assert (found.kind("out"), found.allowed("out")) == ("float32", 1e-5)


def test_half_precision_anywhere_on_the_way_allows_more() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["h"], ["out"], to=1),
    ]
    found = tolerances(file_of(*(tagged(node, "a") for node in nodes)))
    assert found.kind("out") == "float16"
    assert found.allowed("out") == pytest.approx(5e-3)


def test_the_noise_of_rounding_is_what_rounding_does() -> None:
    numbers = np.random.default_rng(0).standard_normal(100_000)
    scale = np.abs(numbers).max() / 127
    integers = np.rint(numbers / scale).astype(np.int8)
    true = np.linalg.norm(integers * scale - numbers) / np.linalg.norm(numbers)
    assert noise_of(integers) == pytest.approx(true, rel=0.02)
    assert noise_of((integers.astype(int) + 128).astype(np.uint8), np.array(128)) == pytest.approx(true, rel=0.02)


def test_a_wrong_scale_makes_no_more_noise_so_that_it_shows() -> None:
    weight = np.random.default_rng(0).integers(-100, 100, (8, 8)).astype(np.int8)
    model = file_of(
        tagged(helper.make_node("DequantizeLinear", ["w", "s"], ["wf"]), "a"),
        tagged(helper.make_node("MatMul", ["x", "wf"], ["out"]), "a"),
        w=weight,
        s=np.array(0.1, dtype=np.float32),
    )
    found = tolerances(model)
    assert found.stored() == ["w"]
    found.look("w", weight)
    assert found.kind("out") == "quantised"
    assert 0.02 <= found.allowed("out") < 0.05


def test_four_bits_are_coarser_than_eight() -> None:
    packed = np.random.default_rng(0).integers(0, 256, 1000).astype(np.uint8)
    assert noise_of(packed, bits=4) > 5 * noise_of(packed)


def test_scales_of_integer_tensors() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "ys", "yz"], ["y"]),
        helper.make_node("DequantizeLinear", ["y", "ys", "yz"], ["out"]),
    ]
    stored = {
        "s": np.array(0.5),
        "z": np.array(3, dtype=np.uint8),
        "ys": np.array(2.0),
        "yz": np.array(0, dtype=np.int8),
    }
    assert scale_names(nodes) == set(stored)
    found = scales_of(nodes, stored)
    assert set(found) == {"q", "y"}
    assert found["q"].numbers(np.array([3, 5], dtype=np.uint8)).tolist() == [0.0, 1.0]


def test_a_scale_for_each_channel() -> None:
    scale = Scale(np.array([1.0, 10.0]), np.zeros(2, dtype=np.int8), axis=0)
    integers = np.array([[1, 2], [3, 4]], dtype=np.int8)
    assert scale.numbers(integers).tolist() == [[1, 2], [30, 40]]
    assert scale.integers(scale.numbers(integers), integers.dtype).tolist() == integers.tolist()
