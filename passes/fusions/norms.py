"""Layer normalisation and RMS normalisation from their parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from onnx_tagger.model.graph import Op
from onnx_tagger.passes.analyses.dataflow import TensorKey
from onnx_tagger.passes.fusions.fusing import Fusion, Match, fused_node
from onnx_tagger.passes.fusions.parts import Parts, attributes_of, is_standard

_LAYER_SINCE, _RMS_SINCE = 17, 23


@dataclass(frozen=True)
class FuseLayerNorm(Fusion):
    """Write a layer norm, spelled out, as one operator.

    That is ``(x - mean(x)) / sqrt(var(x) + eps) * scale [+ bias]`` as a LayerNormalization.
    The version of the operators must be 17 or more, and the shapes of `x` and `scale` must be known, since the operator
    does not broadcast.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, *Layer Normalization*, 2016.
    """

    name = "fuse-layer-norm"

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        if parts.opset < _LAYER_SINCE or not is_standard(op, ("Add", "Mul")):
            return None
        for scaling, bias, ops in _biased(parts, op):
            for divided, scale in _sides(parts, scaling):
                found = _normalised(parts, divided)
                if found is None or found.of is None:
                    continue
                x, more = found.of
                axis = _axis(parts, x, found.axes, [scale, *([bias] if bias is not None else [])])
                if axis is not None:
                    names = [x[1], scale[1], *([bias[1]] if bias is not None else [])]
                    node = fused_node(op, "LayerNormalization", names, axis=axis, epsilon=found.epsilon)
                    return Match((*ops, *found.ops, *more), node)
        return None


@dataclass(frozen=True)
class FuseRmsNorm(Fusion):
    """Write an RMS norm, spelled out, as one operator.

    That is ``x / sqrt(mean(x * x) + eps) * scale`` as an RMSNormalization.

    Parameters
    ----------
    microsoft : bool
        Before version 23 of the operators, which has RMSNormalization, take SimplifiedLayerNormalization, which is
        onnxruntime's: it writes it itself, but onnx's checker does not know it.

    References
    ----------
    B. Zhang and R. Sennrich, *Root Mean Square Layer Normalization*, 2019.
    """

    name = "fuse-rms-norm"

    microsoft: bool = False

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        if not is_standard(op, ("Mul",)) or (not self.microsoft and parts.opset < _RMS_SINCE):
            return None
        for divided, scale in _sides(parts, op):
            found = _normalised(parts, divided)
            axis = _axis(parts, found.x, found.axes, [scale]) if found is not None else None
            if found is not None and axis is not None and parts.kind(found.x).elem == onnx.TensorProto.FLOAT:
                kind = "RMSNormalization" if parts.opset >= _RMS_SINCE else "SimplifiedLayerNormalization"
                node = fused_node(op, kind, [found.x[1], scale[1]], axis=axis, epsilon=found.epsilon)
                return Match((op, *found.ops), node)
        return None


@dataclass(frozen=True)
class _Normalised:
    """A tensor divided by the root of the mean of its square; `of` is what the tensor is the deviation of."""

    x: TensorKey
    axes: tuple[int, ...]
    epsilon: float
    ops: tuple[Op, ...]
    of: tuple[TensorKey, tuple[Op, ...]] | None


def _biased(parts: Parts, op: Op) -> Iterator[tuple[Op, TensorKey | None, tuple[Op, ...]]]:
    """The product, the bias and the nodes of both; a product alone has no bias."""
    if op.node.op_type == "Mul":
        yield op, None, (op,)
        return
    for product, bias in _sides(parts, op):
        maker = parts.maker(product, ("Mul",), parts.flow.place[op.id])
        if maker is not None:
            yield maker, bias, (op, maker)


def _sides(parts: Parts, op: Op) -> Iterator[tuple[TensorKey, TensorKey]]:
    left, right = parts.key(op, 0), parts.key(op, 1)
    if left is not None and right is not None:
        yield left, right
        yield right, left


def _normalised(parts: Parts, key: TensorKey) -> _Normalised | None:
    scope = key[0]
    op = parts.maker(key, ("Div", "Mul"), scope)
    if op is None:
        return None
    for x, root in _sides(parts, op):
        below = _root_of(parts, root, inverse=op.node.op_type == "Mul")
        if below is None:
            continue
        variance, roots = below
        added = parts.maker(variance, ("Add",), scope)
        for mean, epsilon in _sides(parts, added) if added is not None else ():
            value, reduced = parts.scalar(epsilon), _mean(parts, mean)
            square = _square(parts, reduced[1], x) if reduced is not None else None
            if value is not None and value > 0 and reduced is not None and square is not None:
                assert added is not None
                ops = (op, *roots, added, reduced[0], *square)
                return _Normalised(x, reduced[2], value, ops, _deviation(parts, x, reduced[2]))
        if op.node.op_type == "Div":
            break
    return None


def _root_of(parts: Parts, key: TensorKey, *, inverse: bool) -> tuple[TensorKey, tuple[Op, ...]] | None:
    """What a tensor is the square root of, or one over it."""
    op = parts.maker(key, ("Sqrt", "Pow", "Reciprocal", "Div"), key[0])
    if op is None:
        return None
    first, kind = parts.key(op, 0), op.node.op_type
    if kind == "Pow":
        fits = parts.scalar(parts.key(op, 1)) == (-0.5 if inverse else 0.5)
        return (first, (op,)) if fits and first is not None else None
    if not inverse:
        return (first, (op,)) if kind == "Sqrt" and first is not None else None
    below = first if kind == "Reciprocal" else None
    if kind == "Div" and parts.scalar(first) == 1:
        below = parts.key(op, 1)
    inner = _root_of(parts, below, inverse=False) if below is not None else None
    return (inner[0], (op, *inner[1])) if inner is not None else None


def _mean(parts: Parts, key: TensorKey) -> tuple[Op, TensorKey, tuple[int, ...]] | None:
    """The node that takes a mean and keeps the dimensions, what of, and over which axes."""
    op = parts.maker(key, ("ReduceMean",), key[0])
    if op is None:
        return None
    attributes, of = attributes_of(op), parts.key(op, 0)
    axes = attributes.get("axes")
    if axes is None:
        values = parts.constant(parts.key(op, 1))
        axes = values.reshape(-1).tolist() if values is not None else None
    if not axes or attributes.get("keepdims", 1) != 1 or of is None:
        return None
    return op, of, tuple(axes)  # type: ignore[arg-type]


def _square(parts: Parts, key: TensorKey, x: TensorKey) -> tuple[Op, ...] | None:
    """The nodes that square x; a deviation may be computed a second time for it."""
    op = parts.maker(key, ("Mul", "Pow"), key[0])
    if op is None:
        return None
    base = parts.key(op, 0)
    if op.node.op_type == "Pow" and parts.scalar(parts.key(op, 1)) != 2:
        return None
    if base is None or (op.node.op_type == "Mul" and parts.key(op, 1) != base):
        return None
    if base == x:
        return (op,)
    one, other = (parts.maker(each, ("Sub",), key[0]) for each in (base, x))
    if one is None or other is None or parts.flow.inputs[one.id] != parts.flow.inputs[other.id]:
        return None
    return (op, one)


def _deviation(parts: Parts, key: TensorKey, axes: tuple[int, ...]) -> tuple[TensorKey, tuple[Op, ...]] | None:
    """What a tensor is the deviation of, from its mean over the same axes."""
    op = parts.maker(key, ("Sub",), key[0])
    x, mean = (parts.key(op, 0), parts.key(op, 1)) if op is not None else (None, None)
    found = _mean(parts, mean) if mean is not None else None
    if op is None or x is None or found is None or found[1] != x or found[2] != axes:
        return None
    return x, (op, found[0])


def _axis(parts: Parts, x: TensorKey, axes: tuple[int, ...], vectors: list[TensorKey]) -> int | None:
    """The first of the axes if they are the last ones, and scale and bias have just their shape and the type of x."""
    kind = parts.kind(x)
    if kind.shape is None or kind.elem not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return None
    rank = len(kind.shape)
    places = sorted(axis % rank for axis in axes) if rank else []
    if places != list(range(rank - len(places), rank)):
        return None
    shape = kind.shape[places[0] :]
    fits = None not in shape and all(parts.kind(key).shape == shape for key in vectors)
    return places[0] - rank if fits and all(parts.kind(key).elem == kind.elem for key in vectors) else None
