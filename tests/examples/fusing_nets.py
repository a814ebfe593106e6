"""Random chains of formulas that fusions know and of near misses, with what should be fused in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from examples import fusible as f

WIDTH = 8


@dataclass(frozen=True)
class Net:
    """A model, the module of each node, the passes to run, and the (pass, output) pairs that they should make."""

    model: onnx.ModelProto
    modules: list[str]
    passes: tuple[str, ...]
    expected: set[tuple[str, str]]


def random_net(seed: int, length: int = 6) -> Net:
    """A chain of formulas over rows of 8 numbers, or over images of 8 channels; a third of them are near misses."""
    rng = np.random.default_rng(seed)
    opset = int(rng.choice([17, 20, 23, 24]))
    b = f.Builder(opset=opset, as_nodes=bool(rng.integers(2)))
    images = bool(rng.integers(3) == 0)
    x = b.input("n", WIDTH, 4, 4) if images else b.input("n", WIDTH)
    expected: set[tuple[str, str]] = set()
    for step in range(length):
        b.module = f"blocks.{step}"
        write = (
            (_gelu, _silu, _convs)[rng.integers(3)] if images else (_gelu, _silu, _norm, _rms, _gemm)[rng.integers(5)]
        )
        x, name = write(b, x, rng, bool(rng.integers(3) == 0))
        if name:
            expected.add((name, x))
        if rng.integers(3) == 0:
            x = b("Relu", x)
    options = ":microsoft=true"
    passes = tuple(
        f"{name}{options}" if name in ("fuse-gelu", "fuse-silu", "fuse-rms-norm") else name for name in f.NAMES
    )
    return Net(b.model(x), b.modules, passes, expected)


def _spoilt(b: f.Builder, start: int, x: str) -> None:
    """Make what the first node of a formula gives an output, too."""
    name = next(node.output[0] for node in b.nodes[start:] if node.op_type != "Constant" and node.output[0] != x)
    b.outputs.append(name)


def _gelu(b: f.Builder, x: str, rng: np.random.Generator, miss: bool) -> tuple[str, str]:
    start = len(b.nodes)
    if rng.integers(2):
        near = {"half": 0.501} if miss and rng.integers(2) else {}
        y = f.gelu_erf(b, x, int(rng.integers(5)), **near)
    else:
        near = {"cube": 0.0448} if miss and rng.integers(2) else {}
        y = f.gelu_tanh(b, x, int(rng.integers(3)), **near)
    if miss and not near:
        _spoilt(b, start, y)
    return y, "" if miss else "fuse-gelu"


def _silu(b: f.Builder, x: str, rng: np.random.Generator, miss: bool) -> tuple[str, str]:
    start = len(b.nodes)
    y = f.silu(b, x, int(rng.integers(2)), float(rng.choice([1.0, 1.702])))
    if miss:
        _spoilt(b, start, y)
    return y, "" if miss else "fuse-silu"


def _norm(b: f.Builder, x: str, rng: np.random.Generator, miss: bool) -> tuple[str, str]:
    near = [{"power": 4.0}, {"other_axes": (0,)}, {"axes": (0,)}][rng.integers(3)] if miss else {}
    form = 0 if "power" in near else int(rng.integers(5))
    bias, twice = bool(rng.integers(2)), bool(rng.integers(2))
    y = f.layer_norm(b, x, [WIDTH], form, bias=bias, twice=twice, **near)  # type: ignore[arg-type]
    return y, "" if miss else "fuse-layer-norm"


def _rms(b: f.Builder, x: str, rng: np.random.Generator, miss: bool) -> tuple[str, str]:
    y = f.rms_norm(b, x, [1] if miss else [WIDTH], int(rng.integers(5)))
    return y, "" if miss else "fuse-rms-norm"


def _gemm(b: f.Builder, x: str, rng: np.random.Generator, miss: bool) -> tuple[str, str]:
    start = len(b.nodes)
    y = f.gemm(b, x, WIDTH, WIDTH, [[WIDTH], [1, WIDTH], [1]][rng.integers(3)])
    if miss:
        _spoilt(b, start, y)
    return y, "" if miss else "fuse-gemm"


def _convs(b: f.Builder, x: str, rng: np.random.Generator, miss: bool) -> tuple[str, str]:
    which = rng.integers(3)
    start = len(b.nodes)
    if which == 0:
        y, name = f.conv_bn(b, x, WIDTH, WIDTH, bias=bool(rng.integers(2))), "fuse-conv-bn"
    elif which == 1:
        y, name = f.parallel_convs(b, x, WIDTH, [3, 5]), "fuse-parallel-convs"
    else:
        y, name = f.split_convs(b, x, WIDTH), "fuse-split-convs"
    if miss:
        _spoilt(b, start, y)
    return y, "" if miss else name
