"""SiLU and its scaled form."""

from __future__ import annotations

import pytest

from examples import fusible as f


@pytest.mark.parametrize("scale", [1.0, 1.702])
@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize(("opset", "name", "kind"), [(24, "", "Swish"), (17, ":microsoft=true", "QuickGelu")])
def test_silu(form: int, scale: float, opset: int, name: str, kind: str) -> None:
    b = f.Builder(opset=opset)
    before = b.model(f.silu(b, b.input(3, 4), form, scale))
    ctx = f.fused(before, f"fuse-silu{name}")
    assert [op.rpartition(":")[2] for op in f.kinds(ctx.model)] == [kind]
    assert f.agree(before, ctx.model)


def test_not_before_the_operator_is_there() -> None:
    b = f.Builder(opset=23)
    before = b.model(f.silu(b, b.input(3, 4)))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_gate_of_another_tensor() -> None:
    b = f.Builder(opset=24)
    x, z = b.input(3, 4), b.input(3, 4)
    before = b.model(b("Mul", z, b("Sigmoid", x)))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_sigmoid_that_is_read_twice() -> None:
    b = f.Builder(opset=24)
    y = f.silu(b, b.input(3, 4))
    before = b.model(b("Add", y, "t0"))
    assert f.kinds(f.fused(before).model) == f.kinds(before)
