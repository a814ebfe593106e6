"""A small tagged file, stages of made-up tools, and the record of an optimisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from msgspec.structs import replace
from onnx import numpy_helper

import onnx_tagger as ot
from examples import fusible as f
from onnx_tagger.measures.optimising.optimised import Change, Interval, Optimized, Targets, Try
from onnx_tagger.workflows.optimising.stages import Stage, Trial


def write_model(path: Path) -> Path:
    """Two blocks of a product, a sum and a GELU of parts, tagged; opset 20."""
    b = f.Builder()
    x = b.input(4, 16)
    for block in range(2):
        b.module = f"blocks.{block}.fc"
        x = f.gemm(b, x, 16, 16)
        b.module = f"blocks.{block}.act"
        x = f.gelu_erf(b, x)
    ctx = f.tagged(b.model(x), b.modules)
    ot.PassManager([ot.Inject()]).run_in(ctx)
    onnx.save(ctx.model, path)
    return path


def without_effect(source: Path, target: Path) -> None:
    """Add an Identity at the end, which changes no number."""
    model = onnx.load(source)
    last = model.graph.node[-1]
    name = last.output[0]
    count = len(model.graph.node)
    last.output[0] = f"inner{count}"
    model.graph.node.append(onnx.helper.make_node("Identity", [f"inner{count}"], [name], f"added{count}"))
    onnx.save(model, target)


def breaking(source: Path, target: Path) -> None:
    """Spoil the weight of the second block's product, and let a node go, as if that were a fusion."""
    model = onnx.load(source)
    product = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")][1]
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == product.input[1])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
    product.name += "_fused"
    onnx.save(model, target)
    without_effect(target, target)


def failing(source: Path, target: Path) -> None:
    raise RuntimeError("out of luck")


NEUTRAL = Stage("neutral", [Trial("identity", without_effect)])
BROKEN = Stage("broken", [Trial("spoil", breaking)])
FAILING = Stage("failing", [Trial("raise", failing)])


def report() -> Optimized:
    """A record with a try of each outcome."""
    ratio = Interval(1.25, 1.2, 1.3)
    first = Try("original", "", "original", "", "kept", "as given", size=100, nodes=9, tagged=9, operators={"Add": 9})
    tries = [
        replace(first, latency=Interval(50.0, 45.0, 55.0), speedup=Interval(1.0, 1.0, 1.0), drop=0.0),
        Try(
            "fusions/all",
            "fusions",
            "all",
            "original",
            "kept",
            "faster",
            "01.onnx",
            {"level": "basic"},
            0.5,
            90,
            5,
            5,
            {"Gemm": 5},
            [Change("", 1, 0), Change("a|b", 8, 5)],
            latency=Interval(40.0),
            speedup=ratio,
            gain=ratio,
            creation=0.01,
            memory=64,
            drop=0.01,
        ),
        Try("graph/<slim>", "graph", "<slim>", "original", "dropped", "a.b is wrong", "02.onnx", differs="a.b"),
        Try("graph/x", "graph", "x", "original", "failed", "the tool failed"),
    ]
    finals = {"original": Interval(1.0, 1.0, 1.0), "fusions/all": ratio}
    targets, verdict = Targets(1.1, 0.02), "fusions/all it is"
    return Optimized("m.onnx", "o.onnx", True, "fusions/all", ratio, targets, verdict, tries, finals, "ort", ["busy"])
