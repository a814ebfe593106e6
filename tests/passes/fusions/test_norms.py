"""Layer and RMS normalisation in the ways they are written, and what is almost one."""

from __future__ import annotations

from typing import Any

import pytest

from examples import fusible as f


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("form", range(5))
def test_layer_norm(form: int, bias: bool, twice: bool, opset: int) -> None:
    b = f.Builder(opset=opset)
    before = b.model(f.layer_norm(b, b.input("n", 3, 8), [8], form, bias=bias, twice=twice))
    ctx = f.fused(before, "fuse-layer-norm")
    assert f.kinds(ctx.model) == ["LayerNormalization"]
    assert f.agree(before, ctx.model)
    assert len(ctx.model.graph.initializer) == 1 + bias


def test_over_two_axes() -> None:
    b = f.Builder()
    before = b.model(f.layer_norm(b, b.input("n", 3, 8), [3, 8], axes=(1, 2)))
    ctx = f.fused(before)
    assert f.kinds(ctx.model) == ["LayerNormalization"]
    assert f.agree(before, ctx.model)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ([8], {"axes": (1,)}),
        ([8], {"axes": (-1,), "other_axes": (-2,)}),
        ([1], {}),
        ([3, 8], {}),
        ([8], {"power": 2.5}),
        ([8], {"eps": 0.0}),
        ([8], {"eps": -1e-5}),
    ],
    ids=str,
)
def test_other_axes_shapes_and_powers(shape: list[int], options: dict[str, Any]) -> None:
    b = f.Builder()
    before = b.model(f.layer_norm(b, b.input(2, 3, 8), shape, **options))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


@pytest.mark.parametrize("place", [0, 1, 4, 5, 6])
def test_an_intermediate_that_is_an_output(place: int) -> None:
    b = f.Builder()
    y = f.layer_norm(b, b.input(2, 3, 8), [8])
    b.outputs.append(f"t{place}")
    before = b.model(y)
    assert "LayerNormalization" not in f.kinds(f.fused(before).model)


@pytest.mark.parametrize(
    ("opset", "name", "kind"), [(23, "", "RMSNormalization"), (17, ":microsoft=true", "SimplifiedLayerNormalization")]
)
@pytest.mark.parametrize("form", range(5))
def test_rms_norm(form: int, opset: int, name: str, kind: str) -> None:
    b = f.Builder(opset=opset)
    before = b.model(f.rms_norm(b, b.input("n", 8), [8], form))
    ctx = f.fused(before, f"fuse-rms-norm{name}")
    assert f.kinds(ctx.model) == [kind]
    assert f.agree(before, ctx.model)


def test_the_two_are_not_confused() -> None:
    b = f.Builder(opset=23)
    before = b.model(f.layer_norm(b, f.rms_norm(b, b.input(2, 8), [8]), [8]))
    ctx = f.fused(before)
    assert f.kinds(ctx.model) == ["RMSNormalization", "LayerNormalization"]
    assert f.agree(before, ctx.model)
