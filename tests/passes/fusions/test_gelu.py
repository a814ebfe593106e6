"""GELU in the ways it is written, and what is almost one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from examples import fusible as f

FORMS: list[tuple[Callable[..., str], int, str]] = [
    *((f.gelu_erf, form, "none") for form in range(5)),
    *((f.gelu_tanh, form, "tanh") for form in range(3)),
]


@pytest.mark.parametrize("as_nodes", [False, True], ids=["stored", "nodes"])
@pytest.mark.parametrize(("write", "form", "approximate"), FORMS, ids=lambda value: getattr(value, "__name__", value))
def test_each_form_is_one_gelu(write: Callable[..., str], form: int, approximate: str, as_nodes: bool) -> None:
    b = f.Builder(as_nodes=as_nodes)
    before = b.model(write(b, b.input(3, 4), form))
    ctx = f.fused(before, "fuse-gelu")
    assert f.kinds(ctx.model) == ["Gelu"]
    assert f.agree(before, ctx.model)
    (found,) = ctx.report.fused
    assert (found.by, found.op, found.module) == ("fuse-gelu", "Gelu", "")
    assert ctx.model.graph.node[0].attribute[0].s.decode() == approximate
    assert not ctx.model.graph.initializer


@pytest.mark.parametrize(("write", "kind"), [(f.gelu_erf, "Gelu"), (f.gelu_tanh, "FastGelu")], ids=["erf", "tanh"])
def test_an_older_opset_takes_that_of_microsoft_if_asked(write: Callable[..., str], kind: str) -> None:
    b = f.Builder(opset=17)
    before = b.model(write(b, b.input(3, 4)))
    assert f.kinds(f.fused(before, "fuse-gelu").model) == f.kinds(before)
    ctx = f.fused(before, "fuse-gelu:microsoft=true")
    assert f.kinds(ctx.model) == [f"com.microsoft::{kind}"]
    assert f.agree(before, ctx.model)


@pytest.mark.parametrize(
    "options",
    [{"half": 0.5001}, {"root": 1.4143}, {"one": 1.001}, {"half": -0.5}, {"root": -(2**0.5)}],
    ids=str,
)
def test_a_constant_that_is_slightly_off(options: dict[str, Any]) -> None:
    b = f.Builder()
    before = b.model(f.gelu_erf(b, b.input(3, 4), 0, **options))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_slightly_different_cube() -> None:
    b = f.Builder()
    before = b.model(f.gelu_tanh(b, b.input(3, 4), cube=0.04472))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_an_intermediate_that_is_an_output() -> None:
    for place in range(1, 4):
        b = f.Builder()
        y = f.gelu_erf(b, b.input(3, 4))
        b.outputs.append(f"t{place}")
        before = b.model(y)
        assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_an_intermediate_that_is_read_twice() -> None:
    b = f.Builder()
    y = f.gelu_erf(b, b.input(3, 4))
    before = b.model(b("Add", y, "t1"))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_another_input_than_that_of_erf() -> None:
    b = f.Builder()
    x, z = b.input(3, 4), b.input(3, 4)
    t = b("Add", b("Erf", b("Div", x, b.const(2**0.5))), b.const(1.0))
    before = b.model(b("Mul", b("Mul", z, t), b.const(0.5)))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_constant_that_adds_a_dimension() -> None:
    b = f.Builder()
    x = b.input(4)
    t = b("Add", b("Erf", b("Div", x, b.const(2**0.5))), b.const([[1.0]]))
    before = b.model(b("Mul", b("Mul", x, t), b.const(0.5)))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_half_precision() -> None:
    b = f.Builder(dtype=np.float16)
    before = b.model(f.gelu_erf(b, b.input(3, 4), 1))
    assert f.kinds(f.fused(before).model) == ["Gelu"]


def test_double_precision_stays_since_no_runtime_has_it() -> None:
    b = f.Builder(dtype=np.float64)
    before = b.model(f.gelu_erf(b, b.input(3, 4), 1))
    assert f.kinds(f.fused(before).model) == f.kinds(before)
