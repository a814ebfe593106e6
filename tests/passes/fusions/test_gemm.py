"""MatMul and Add as Gemm, where both are of matrices."""

from __future__ import annotations

import pytest

from examples import fusible as f


@pytest.mark.parametrize("bias", [[5], [1, 5], [1], []], ids=str)
@pytest.mark.parametrize("rows", ["n", 3])
def test_matmul_and_add(bias: list[int], rows: str | int) -> None:
    b = f.Builder()
    before = b.model(f.gemm(b, b.input(rows, 4), 4, 5, bias))
    ctx = f.fused(before, "fuse-gemm")
    assert f.kinds(ctx.model) == ["Gemm"]
    assert f.agree(before, ctx.model)
    assert len(ctx.model.graph.initializer) == 2, "weights stay as they are"


@pytest.mark.parametrize(
    ("shape", "bias"), [((2, 3, 4), [5]), ((1, 4), [3, 5]), ((3, 4), [1, 1, 5]), ((4,), [5])], ids=str
)
def test_what_gemm_does_not_broadcast(shape: tuple[int, ...], bias: list[int]) -> None:
    b = f.Builder()
    before = b.model(f.gemm(b, b.input(*shape), 4, 5, bias))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_product_that_is_read_twice() -> None:
    b = f.Builder()
    y = f.gemm(b, b.input(3, 4), 4, 5)
    before = b.model(b("Mul", y, "t0"))
    assert f.kinds(f.fused(before).model) == f.kinds(before)
