"""Convolutions: with a batch normalisation behind, several of one input as one, and those of its parts as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from onnx_tagger.model.graph import Op
from onnx_tagger.passes.analyses.dataflow import TensorKey
from onnx_tagger.passes.base import Values
from onnx_tagger.passes.fusions.fusing import Fusion, Match, fused_node, weight_of
from onnx_tagger.passes.fusions.parts import Parts, attributes_of, is_standard


@dataclass(frozen=True)
class FuseConvBatchNorm(Fusion):
    """Write a Conv and the BatchNorm behind it as one Conv with other weights."""

    name = "fuse-conv-bn"

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        if not is_standard(op, ("BatchNormalization",)) or any(op.node.output[1:]):
            return None
        options = attributes_of(op)
        conv = parts.maker(parts.key(op, 0), ("Conv",), parts.flow.place[op.id])
        if conv is None or options.get("training_mode", 0) or not parts.alone(parts.output(conv)):
            return None
        given = [parts.weights(parts.key(op, place)) for place in range(1, 5)]
        weight, bias = parts.weights(parts.key(conv, 1)), parts.weights(parts.key(conv, 2))
        if any(values is None for values in given) or weight is None or (bias is None and parts.key(conv, 2)):
            return None
        if weight.dtype != np.float32 or any(values.dtype != np.float32 for values in given if values is not None):
            return None
        scale, shift, mean, variance = (np.asarray(values, np.float64) for values in given)
        epsilon = options.get("epsilon", 1e-5)
        assert isinstance(epsilon, float)
        factor = scale / np.sqrt(variance + epsilon)
        old = np.asarray(bias, np.float64) if bias is not None else 0.0
        made = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1)), (old - mean) * factor + shift
        if not all(np.isfinite(values).all() for values in made):
            return None
        return _conv(op, conv, (op, conv), parts.key(conv, 0), made, {})


@dataclass(frozen=True)
class FuseParallelConvs(Fusion):
    """Write Convs of one input, of the same form, whose outputs are joined, as one Conv."""

    name = "fuse-parallel-convs"

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        convs = _concatenated(parts, op)
        inputs = {parts.key(conv, 0) for conv in convs}
        if len(convs) < 2 or len(inputs) > 1 or attributes_of(convs[0]).get("group", 1) != 1:
            return None
        made = _stacked(parts, convs)
        return _conv(op, convs[0], (op, *convs), inputs.pop(), made, {}) if made is not None else None


@dataclass(frozen=True)
class FuseSplitConvs(Fusion):
    """Write Convs of the equal parts of one input, whose outputs are joined, as one grouped Conv.

    It is no faster in every runtime: with few channels a group, onnxruntime takes longer for it than for the parts.
    """

    name = "fuse-split-convs"

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        convs = _concatenated(parts, op)
        if len(convs) < 2:
            return None
        split = parts.maker_of_any(parts.key(convs[0], 0), "Split", parts.flow.place[op.id])
        if split is None or [parts.key(conv, 0) for conv in convs] != parts.flow.outputs[split.id]:
            return None
        weights = {tuple(parts.kind(parts.key(conv, 1)).shape or ()) for conv in convs}
        group = attributes_of(convs[0]).get("group", 1)
        assert isinstance(group, int)
        shape = weights.pop()
        if weights or len(shape) < 3 or not _is_even(parts, split, (shape[1] or 0) * group, len(shape)):
            return None
        made = _stacked(parts, convs)
        if made is None:
            return None
        ops = (op, *convs, split)
        return _conv(op, convs[0], ops, parts.key(split, 0), made, {"group": group * len(convs)})


def _concatenated(parts: Parts, op: Op) -> list[Op]:
    """The convolutions of one form whose channels a node concatenates; none if it does not, or others, too."""
    if not is_standard(op, ("Concat",)):
        return []
    place, keys = parts.flow.place[op.id], parts.flow.inputs[op.id]
    convs = [parts.maker(key, ("Conv",), place) for key in keys]
    if len(set(keys)) < len(keys) or not all(parts.alone(key) for key in keys):
        return []
    found = [conv for conv in convs if conv is not None]
    shapes = [parts.kind(parts.key(conv, 1)).shape or () for conv in found]
    if len(found) < len(convs) or len({shape[1:] for shape in shapes}) != 1 or len(shapes[0]) < 3:
        return []
    if attributes_of(op).get("axis") not in (1, 1 - len(shapes[0])):
        return []
    return found if all(_form(conv) == _form(found[0]) for conv in found) else []


def _form(conv: Op) -> dict[str, object]:
    # Kernel shapes are the weights', which are compared.
    return {"group": 1} | {name: value for name, value in attributes_of(conv).items() if name != "kernel_shape"}


def _is_even(parts: Parts, split: Op, channels: int, rank: int) -> bool:
    """Whether a node splits the channels into parts of one size."""
    options = attributes_of(split)
    sizes: object = options.get("split")
    if parts.key(split, 1) is not None:
        values = parts.constant(parts.key(split, 1))
        sizes = values.tolist() if values is not None else ()
    # Without sizes the parts are even, unless the last one is smaller: then a convolution would not fit.
    even = sizes is None or (isinstance(sizes, list) and set(sizes) == {channels})
    return even and options.get("axis", 0) in (1, 1 - rank)


def _stacked(parts: Parts, convs: Sequence[Op]) -> tuple[Values, Values | None] | None:
    """The weights and biases of convolutions, one behind the other."""
    weights = [parts.weights(parts.key(conv, 1)) for conv in convs]
    biases = [parts.weights(parts.key(conv, 2)) for conv in convs]
    lost = [bias is None and parts.key(conv, 2) is not None for conv, bias in zip(convs, biases, strict=True)]
    held = [weight for weight in weights if weight is not None]
    if len(held) < len(weights) or any(lost) or len({weight.dtype for weight in held}) > 1:
        return None
    stacked = np.concatenate(held)
    if all(bias is None for bias in biases):
        return stacked, None
    filled = [
        np.zeros(len(weight), weight.dtype) if bias is None else bias for weight, bias in zip(held, biases, strict=True)
    ]
    return stacked, np.concatenate(filled)


def _conv(
    root: Op,
    like: Op,
    ops: tuple[Op, ...],
    x: TensorKey | None,
    made: tuple[Values, Values | None],
    changed: dict[str, object],
) -> Match:
    """One convolution of the form of another, with weights of its own."""
    assert x is not None
    weight, bias = made
    stored = [weight_of(root, "weight", weight.astype(np.float32) if weight.dtype == np.float64 else weight)]
    if bias is not None:
        stored.append(weight_of(root, "bias", bias.astype(stored_type(stored[0]), copy=False)))
    node = fused_node(root, "Conv", [x[1], *(tensor.name for tensor in stored)], more=attributes_of(like) | changed)
    return Match(ops, node, tuple(stored))


def stored_type(tensor: onnx.TensorProto) -> np.dtype[np.generic]:
    """The numpy type of a stored tensor."""
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
