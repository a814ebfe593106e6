"""Types and shapes of tensors, also behind operators that onnx does not know."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from examples import fusible as f
from onnx_tagger.passes.analyses.types import Kind, ValueTypes
from onnx_tagger.passes.base import Context


def test_shapes_are_inferred_without_weights() -> None:
    b = f.Builder()
    x = b.input("n", 40)
    y = b("MatMul", x, b.const(np.ones((40, 30))))
    z = b("Reshape", y, b.const([-1, 3, 10], np.int64))
    model = b.model(z)
    model.graph.initializer[0].ClearField("raw_data")
    found = Context(model).get(ValueTypes)
    assert found[0, "in0"] == Kind(TensorProto.FLOAT, (None, 40))
    assert found[0, y] == Kind(TensorProto.FLOAT, (None, 30))
    assert found[0, z] == Kind(TensorProto.FLOAT, (None, 3, 10))


def test_behind_an_operator_that_keeps_the_shape() -> None:
    b = f.Builder()
    x = b.input(2, 3)
    b.nodes.append(helper.make_node("QuickGelu", [x], ["q"], domain="com.microsoft"))
    b.nodes.append(helper.make_node("Unknown", ["q"], ["u"], domain="com.microsoft"))
    b.nodes.append(helper.make_node("Relu", ["q"], ["r"]))
    model = b.model("u")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = Context(model).get(ValueTypes)
    assert found[0, "r"] == Kind(TensorProto.FLOAT, (2, 3))
    assert found[0, "u"].shape is None


def test_a_model_that_contradicts_itself() -> None:
    b = f.Builder()
    model = b.model(b("MatMul", b.input(2, 3), b.input(4, 5)))
    assert Context(model).get(ValueTypes)[0, "in0"].shape == (2, 3)
    assert isinstance(model, onnx.ModelProto)
