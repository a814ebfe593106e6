"""What a node reads and who reads it, with left-out inputs and constants of every form."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from examples import fusible as f
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.fusions.fusing import Fusion
from onnx_tagger.passes.fusions.parts import Parts


def parts_of(model: onnx.ModelProto) -> Parts:
    ctx = Context(model)
    ctx._declared.append(("test", Fusion.requires))
    return Parts(ctx)


def test_left_out_inputs_have_no_key() -> None:
    b = f.Builder()
    x = b.input(3)
    parts = parts_of(b.model(b("Clip", x, "", b.const(1.0))))
    (op,) = parts.ops
    assert [parts.key(op, place) for place in range(4)] == [(0, "in0"), None, (0, "c0"), None]
    assert parts.scalar(parts.key(op, 2)) == 1.0
    assert parts.opset == 20


@pytest.mark.parametrize(
    ("attribute", "value", "scalar"),
    [("value_float", 2.5, 2.5), ("value_int", 3, 3.0), ("value_floats", [4.0], 4.0), ("value_ints", [1, 2], None)],
)
def test_constants_in_attributes(attribute: str, value: object, scalar: float | None) -> None:
    b = f.Builder()
    x = b.input(3)
    parts = parts_of(b.model(b("Add", x, b("Constant", **{attribute: value}))))
    key = parts.key(parts.ops[1], 1)
    assert parts.constant(key) is not None
    assert parts.scalar(key) == scalar


def test_who_makes_and_who_reads() -> None:
    b = f.Builder()
    x = b.input(3)
    y = b("Relu", x)
    z = b("Add", b("Neg", y), b("Abs", y))
    parts = parts_of(b.model(z))
    relu, neg, _, add = parts.ops
    assert not parts.alone(parts.output(relu))
    assert parts.alone(parts.output(neg))
    assert not parts.alone(parts.output(add)), "an output"
    assert parts.hidden(parts.ops, add)
    assert not parts.hidden([neg, add, relu], add)
    assert parts.maker(parts.key(add, 0), ("Neg",), 0) is neg
    assert parts.maker(parts.key(add, 0), ("Abs",), 0) is None


def test_a_node_of_another_domain_is_no_standard_one() -> None:
    made = helper.make_node("Relu", ["in0"], ["y"], domain="own")
    b = f.Builder()
    b.input(3)
    b.nodes.append(made)
    parts = parts_of(b.model("y"))
    assert parts.maker((0, "y"), ("Relu",), 0) is None
