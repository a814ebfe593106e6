"""Formulas as polynomials, however they are written."""

from __future__ import annotations

import numpy as np
import pytest

from examples import fusible as f
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.fusions.algebra import Expression, expression_of
from onnx_tagger.passes.fusions.fusing import Fusion
from onnx_tagger.passes.fusions.parts import Parts

X, Y = (0, "in0"), (0, "in1")


def expression(b: f.Builder, last: str) -> Expression | None:
    ctx = Context(b.model(last))
    ctx._declared.append(("test", Fusion.requires))
    parts = Parts(ctx)
    return expression_of(parts, next(op for op in ctx.ops if op.node.output[0] == last))


def test_a_square_of_a_sum() -> None:
    b = f.Builder()
    x, y = b.input(3), b.input(3)
    found = expression(b, b("Mul", b("Pow", b("Sub", x, y), b.const(2.0)), b.const(3.0)))
    assert found is not None
    assert found.terms == {((X, 2),): 3.0, ((X, 1), (Y, 1)): -6.0, ((Y, 2),): 3.0}
    assert found.atoms == {X, Y}


def test_what_cancels_out_is_no_term() -> None:
    b = f.Builder()
    x, y = b.input(3), b.input(3)
    found = expression(b, b("Add", b("Sub", x, y), b("Neg", x)))
    assert found is not None
    assert found.terms == {((Y, 1),): -1.0}


@pytest.mark.parametrize("exponent", [0.5, -1.0, 5.0])
def test_other_powers_are_no_polynomials(exponent: float) -> None:
    b = f.Builder()
    assert expression(b, b("Pow", b.input(3), b.const(exponent))) is None


def test_no_division_by_zero_or_by_a_tensor() -> None:
    b = f.Builder()
    assert expression(b, b("Div", b.input(3), b.const(0.0))) is None
    b = f.Builder()
    assert expression(b, b("Div", b.input(3), b.input(3))) is None


def test_a_formula_beyond_measure_is_left_alone() -> None:
    b = f.Builder()
    x = b.input(3)
    for _ in range(20):
        x = b("Add", x, b.const(1.0))
    assert expression(b, x) is None


def test_constants_within_rounding() -> None:
    for dtype, near, far in ((np.float32, 1e-7, 1e-5), (np.float16, 1e-4, 1e-2)):
        made = Expression({((X, 1),): 0.5 * (1 + near)}, [], {np.dtype(dtype)}, 0)
        assert made.equals({((X, 1),): 0.5})
        made.terms = {((X, 1),): 0.5 * (1 + far)}
        assert not made.equals({((X, 1),): 0.5})
        made.dtypes = set()
        assert not made.equals({((X, 1),): 0.5 * (1 + far)})
