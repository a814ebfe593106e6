"""Formulas that fusions know, written in ways that exporters have, and near misses of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import operator
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.registry import make_pass

Array = npt.NDArray[np.generic]


@dataclass
class Builder:
    """A graph under way; each call adds a node and returns the name of what it makes."""

    opset: int = 20
    dtype: type[np.generic] = np.float32
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    module: str = ""
    as_nodes: bool = False

    def __call__(self, op: str, *inputs: str, count: int = 1, **attributes: Any) -> str:
        names = [f"t{len(self.nodes)}" if not i else f"t{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), names, f"n{len(self.nodes)}", **attributes))
        self.modules.append(self.module)
        return names[0]

    def many(self, op: str, *inputs: str, count: int, **attributes: Any) -> list[str]:
        first = self(op, *inputs, count=count, **attributes)
        return [first, *(f"{first}_{i}" for i in range(1, count))]

    def const(self, value: Any, dtype: Any = None) -> str:
        values = np.asarray(value, dtype or self.dtype)
        if self.as_nodes:
            return self("Constant", value=numpy_helper.from_array(values))
        self.stored.append(numpy_helper.from_array(values, f"c{len(self.stored)}"))
        return self.stored[-1].name

    def input(self, *shape: int | str) -> str:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        self.inputs.append(helper.make_tensor_value_info(f"in{len(self.inputs)}", kind, list(shape)))
        return self.inputs[-1].name

    def model(self, *outputs: str) -> onnx.ModelProto:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        ends = [helper.make_tensor_value_info(name, kind, None) for name in (*self.outputs, *outputs)]
        graph = helper.make_graph(self.nodes, "g", self.inputs, ends, self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def gelu_erf(b: Builder, x: str, form: int = 0, half: float = 0.5, root: float = 2**0.5, one: float = 1.0) -> str:
    inner = b("Div", x, b.const(root)) if form % 2 else b("Mul", b.const(1 / root), x)
    t = b("Erf", inner)
    if form == 4:
        left = b("Mul", x, b.const(half))
        return b("Add", left, b("Mul", b("Mul", x, t), b.const(half)))
    one_t = b("Add", t, b.const(one))
    if form in (0, 1):
        return b("Mul", b("Mul", x, one_t), b.const(half))
    if form == 2:
        return b("Mul", b("Mul", b.const(half), x), one_t)
    return b("Div", b("Mul", one_t, x), b.const(1 / half))


def gelu_tanh(b: Builder, x: str, form: int = 0, half: float = 0.5, cube: float = 0.044715) -> str:
    scale = float(np.sqrt(2 / np.pi))
    if form == 0:
        power = b("Pow", x, b.const(3.0))
        inner = b("Mul", b("Add", x, b("Mul", power, b.const(cube))), b.const(scale))
    elif form == 1:
        square = b("Mul", b("Mul", x, b.const(cube)), x)
        inner = b("Mul", b("Mul", x, b.const(scale)), b("Add", square, b.const(1.0)))
    else:
        third = b("Mul", x, b("Mul", x, x))
        inner = b("Mul", b.const(scale), b("Add", b("Mul", b.const(cube), third), x))
    return b("Mul", b("Mul", x, b.const(half)), b("Add", b("Tanh", inner), b.const(1.0)))


def silu(b: Builder, x: str, form: int = 0, scale: float = 1.0) -> str:
    inner = x if scale == 1.0 else b("Mul", x, b.const(scale))
    sigmoid = b("Sigmoid", inner)
    return b("Mul", x, sigmoid) if form % 2 else b("Mul", sigmoid, x)


def mean(b: Builder, x: str, axes: Sequence[int], **options: int) -> str:
    if b.opset < 18:
        return b("ReduceMean", x, axes=list(axes), **options)
    return b("ReduceMean", x, b.const(list(axes), np.int64), **options)


def normalised(b: Builder, d: str, base: str, axes: Sequence[int], form: int, eps: float, power: float = 2.0) -> str:
    square = b("Mul", base, base) if form % 2 else b("Pow", base, b.const(power))
    v = b("Add", mean(b, square, axes), b.const(eps))
    if form < 2:
        return b("Div", d, b("Sqrt", v))
    if form == 2:
        return b("Mul", d, b("Reciprocal", b("Sqrt", v)))
    if form == 3:
        return b("Mul", b("Div", b.const(1.0), b("Sqrt", v)), d)
    return b("Div", d, b("Pow", v, b.const(0.5)))


def layer_norm(
    b: Builder,
    x: str,
    shape: Sequence[int],
    form: int = 0,
    *,
    eps: float = 1e-5,
    axes: Sequence[int] = (-1,),
    other_axes: Sequence[int] | None = None,
    twice: bool = False,
    bias: bool = True,
    power: float = 2.0,
) -> str:
    m = mean(b, x, axes)
    d = b("Sub", x, m)
    base = b("Sub", x, m) if twice else d
    n = normalised(b, d, base, axes if other_axes is None else other_axes, form, eps, power)
    rng = np.random.default_rng(len(b.nodes))
    scaled = b("Mul", n, b.const(rng.standard_normal(shape)))
    return b("Add", scaled, b.const(rng.standard_normal(shape))) if bias else scaled


def rms_norm(b: Builder, x: str, shape: Sequence[int], form: int = 0, eps: float = 1e-6) -> str:
    n = normalised(b, x, x, [-1], form, eps)
    scale = b.const(np.random.default_rng(len(b.nodes)).standard_normal(shape))
    return b("Mul", scale, n) if form % 2 else b("Mul", n, scale)


def weights(b: Builder, *shape: int) -> str:
    return b.const(np.random.default_rng(len(b.nodes) + 100 * len(b.stored)).standard_normal(shape))


def parallel_convs(b: Builder, x: str, channels: int, outs: Sequence[int] = (2, 3), **form: Any) -> str:
    made = []
    for place, out in enumerate(outs):
        bias = [weights(b, out)] if place % 2 else []
        made.append(b("Conv", x, weights(b, out, channels, 3, 3), *bias, pads=[1] * 4, **form))
    return b("Concat", *made, axis=1)


def split_convs(b: Builder, x: str, channels: int, parts: int = 2, axis: int = 1, order: int = 1) -> str:
    names = b.many("Split", x, count=parts, axis=axis, **({"num_outputs": parts} if b.opset >= 18 else {}))
    wide = channels // parts
    made = [b("Conv", name, weights(b, 4, wide, 1, 1)) for name in names]
    return b("Concat", *made[::order], axis=1)


def conv_bn(b: Builder, x: str, channels: int, out: int = 3, *, bias: bool = False, group: int = 1) -> str:
    w = weights(b, out, channels // group, 1, 1)
    y = b("Conv", x, w, *([weights(b, out)] if bias else []), group=group)
    variance = b.const(np.abs(np.random.default_rng(1).standard_normal(out)) + 0.5)
    return b("BatchNormalization", y, weights(b, out), weights(b, out), weights(b, out), variance, epsilon=1e-3)


def gemm(b: Builder, x: str, rows: int, columns: int, bias: Sequence[int] | None = None) -> str:
    y = b("MatMul", x, weights(b, rows, columns))
    return b("Add", y, weights(b, *(bias if bias is not None else (columns,))))


NAMES = (
    "fuse-gelu",
    "fuse-silu",
    "fuse-layer-norm",
    "fuse-rms-norm",
    "fuse-conv-bn",
    "fuse-parallel-convs",
    "fuse-split-convs",
    "fuse-gemm",
)


def tagged(model: onnx.ModelProto, modules: Sequence[str] = ()) -> Context:
    """A context in which each node has the module that is named at its place, or the root."""
    parents = {path.rpartition(".")[0] for path in modules}
    rows = [ModuleRow("", "Net"), *(ModuleRow(path, "Part") for path in sorted({*modules, *parents} - {""}))]
    ctx = Context(model, HierarchyMap.from_rows(rows))
    assert ctx.hierarchy is not None
    for place, op in enumerate(ctx.ops):
        ctx.tags[op] = ctx.hierarchy.tag(modules[place] if modules else "", Source.EXPORTED)
    return ctx


def fused(model: onnx.ModelProto, *passes: str, modules: Sequence[str] = ()) -> Context:
    """What passes make of a copy of a model; they are held to what they declare, and a second run finds nothing."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ctx = tagged(copy, modules)
    steps = [make_pass(text) for text in passes or NAMES]
    PassManager(steps, verify=True).run_in(ctx)
    assert len(ctx.tags) == len(ctx.ops)
    before = copy.SerializeToString(deterministic=True)
    PassManager(steps).run_in(ctx)
    assert copy.SerializeToString(deterministic=True) == before
    return ctx


def kinds(model: onnx.ModelProto) -> list[str]:
    """The operators of the main graph in its order, without constants."""
    return [operator(node) for node in model.graph.node if node.op_type != "Constant"]


def outputs(model: onnx.ModelProto, seed: int = 0, rows: int = 3) -> list[Array]:
    """What a model computes of random inputs, without any optimisation."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        shape = [dim.dim_value or rows for dim in kind.shape.dim]
        feeds[value.name] = rng.standard_normal(shape).astype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    made: list[Array] = session.run(None, feeds)
    return made


def agree(before: onnx.ModelProto, after: onnx.ModelProto, off: float = 1e-4) -> bool:
    """Whether two models compute the same, by their largest difference as a share of the largest number."""
    pairs = list(zip(outputs(before), outputs(after), strict=True))
    return bool(pairs) and all(
        one.shape == other.shape
        and one.dtype == other.dtype
        and np.abs(one.astype(float) - other).max(initial=0) <= off * max(1.0, np.abs(one).max(initial=0))
        for one, other in pairs
    )
