"""The weights that a file stores, in order of use, and their values as far as ranks and digests need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.tensors import without_ones
from onnx_tagger.hierarchy.digest import LEAST_VALUES
from onnx_tagger.model.graph import Op
from onnx_tagger.passes.base import Context
from onnx_tagger.runtime.verify import is_quantising
from onnx_tagger.workflows.kinship.rows import Array, Rows

_T = onnx.TensorProto
_FLOATS = frozenset({_T.FLOAT, _T.DOUBLE, _T.FLOAT16, _T.BFLOAT16})
_SMALL = frozenset({_T.INT8, _T.UINT8, _T.INT4, _T.UINT4})

# Where operators that compute in small integers read a weight, and where its zero point.
_WEIGHT_OF = {
    "DequantizeLinear": (0, 2),
    "MatMulInteger": (1, 3),
    "ConvInteger": (1, 3),
    "QLinearConv": (3, 5),
    "QLinearMatMul": (3, 5),
    "QGemm": (3, 5),
    "QAttention": (1, 7),
    "DynamicQuantizeMatMul": (1, 4),
    "MatMulIntegerToFloat": (1, 5),
    "MatMulNBits": (1, 3),
}

# Where they read a bias, in wide integers or floats.
_BIAS_OF = {"DequantizeLinear": 0, "QLinearConv": 8, "QGemm": 6, "QAttention": 2, "MatMulNBits": 5}

# What unsigned integers of eight bits mean where no zero point is stored.
_MIDDLE = 128.0


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """A stored tensor of the main graph that may be a weight.

    Attributes
    ----------
    tensor : onnx.TensorProto
    reader : onnx.NodeProto
        The first node that reads it.
    place : int
        Which of the node's inputs it is.
    rounded : bool
        Whether it is stored in small integers, so that it no longer has the values of a parameter.
    shape : tuple of int
        Of the weight, where it is packed not that of the tensor.
    """

    tensor: onnx.TensorProto
    reader: onnx.NodeProto
    place: int
    rounded: bool
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many values the weight has."""
        return prod(self.shape)

    @property
    def name(self) -> str:
        """Name of the stored tensor."""
        return str(self.tensor.name)


def stored_weights(ctx: Context) -> list[StoredWeight]:
    """The weights of a model in the order in which its nodes read them; scales, shapes and short tensors left out."""
    tensors = {tensor.name: tensor for tensor in ctx.model.graph.initializer if prod(tensor.dims) >= LEAST_VALUES}
    found: list[StoredWeight] = []
    for op in ctx.ops if tensors else ():
        found.extend(_first_reads(op, tensors))
    return found


def _first_reads(op: Op, tensors: dict[str, onnx.TensorProto]) -> Iterator[StoredWeight]:
    """The weights that no node before this one read; they are taken out of `tensors`."""
    for place, name in enumerate(op.node.input):
        if name in tensors:
            weight = _weight(tensors[name], op.node, place)
            if weight is not None:
                del tensors[name]
                yield weight


def _weight(tensor: onnx.TensorProto, reader: onnx.NodeProto, place: int) -> StoredWeight | None:
    kind, shape = reader.op_type, tuple(tensor.dims)
    is_bias = _BIAS_OF.get(kind) == place
    if tensor.data_type in _FLOATS:
        if is_quantising(kind) and not is_bias:
            return None  # a scale
        return StoredWeight(tensor, reader, place, False, shape)
    if tensor.data_type == _T.INT32:
        return StoredWeight(tensor, reader, place, True, shape) if is_bias and len(shape) == 1 else None
    weighs = _WEIGHT_OF[kind][0] == place if kind in _WEIGHT_OF else len(shape) > 1
    if tensor.data_type not in _SMALL or not weighs:
        return None
    if kind == "MatMulNBits":
        numbers = _numbers(reader)
        shape = (numbers.get("N", 0), numbers.get("K", 0))
    return StoredWeight(tensor, reader, place, True, shape)


def read(ctx: Context, weight: StoredWeight) -> Rows | None:
    """A weight's values, those of small integers but for the scale of each channel; None if they cannot be read."""
    inputs = {tensor.name: tensor for tensor in ctx.model.graph.initializer if tensor.name in set(weight.reader.input)}
    shape = without_ones(weight.shape)
    try:
        blocks = _reading(ctx, weight, inputs, shape)
        first = next(blocks(), None) if blocks is not None else None
    except TaggerError:
        return None  # which is noted where they are read
    return Rows(blocks, first, shape) if blocks is not None and first is not None else None


_Reading = Callable[[], Iterator[Array]]


def _reading(
    ctx: Context, weight: StoredWeight, inputs: dict[str, onnx.TensorProto], shape: tuple[int, ...]
) -> _Reading | None:
    """What reads a weight's rows, each time anew."""
    tensor, kind = weight.tensor, weight.reader.op_type
    if not weight.rounded:
        return lambda: ctx.read_blocks(tensor)
    if kind == "MatMulNBits":
        return _unpacking(ctx, weight, inputs)
    if tensor.data_type not in _SMALL:
        return lambda: (block.astype(np.float32) for block in ctx.read_blocks(tensor))
    at = _WEIGHT_OF[kind][1] if kind in _WEIGHT_OF else -1
    stored = inputs.get(weight.reader.input[at]) if 0 <= at < len(weight.reader.input) else None
    found = ctx.read_values(stored) if stored is not None else None
    middle = np.full((), _MIDDLE if tensor.data_type == _T.UINT8 else 0.0, np.float32)
    zero = _spread(found.astype(np.float32), shape) if found is not None else middle
    return lambda: _centred(ctx.read_blocks(tensor), zero)


def _centred(blocks: Iterator[Array], zero: Array) -> Iterator[Array]:
    """Rows of small integers less their zero points, of which there may be one a row."""
    start = 0
    for block in blocks:
        stop = start + len(block)
        yield block.astype(np.float32) - (zero[start:stop] if zero.ndim and len(zero) > 1 else zero)
        start = stop


def _spread(zero: Array, shape: tuple[int, ...]) -> Array:
    """Zero points, one for all or one a channel, in the shape of what they are subtracted from."""
    if zero.size == 1:
        return zero.reshape(())
    axis = next((axis for axis in (len(shape) - 1, 0) if shape[axis] == zero.size), None) if shape else None
    if zero.ndim != 1 or axis is None:
        return np.zeros(())
    return zero.reshape([-1 if at == axis else 1 for at in range(len(shape))])


def _unpacking(ctx: Context, weight: StoredWeight, inputs: dict[str, onnx.TensorProto]) -> _Reading | None:
    """What reads a weight whose rows are blocks of numbers of four bits with a scale each; see ORT's MatMulNBits."""
    numbers, names = _numbers(weight.reader), list(weight.reader.input)
    rows, columns = weight.shape
    width = numbers.get("block_size", 0)
    scales = inputs.get(names[2]) if len(names) > 2 else None
    scale = ctx.read_values(scales) if scales is not None else None
    blocks = -(-columns // width) if width else 0
    dims = tuple(weight.tensor.dims)
    if numbers.get("bits", 4) != 4 or scale is None or rows < 2 or dims[0] != rows:
        return None
    if prod(dims) * 2 != rows * blocks * width:
        return None
    stored = inputs.get(names[3]) if len(names) > 3 else None
    zero = ctx.read_values(stored) if stored is not None else None
    middle: Array = np.full((rows, blocks), 8, np.float32)
    if zero is not None and zero.dtype == np.uint8:
        middle = _nibbles(zero).reshape(rows, -1)[:, :blocks]
    if scale.size != rows * blocks or middle.shape != (rows, blocks):
        return None
    factors = scale.astype(np.float32).reshape(rows, blocks)
    return lambda: _unpacked(ctx.read_blocks(weight.tensor), middle, factors, width, columns)


def _unpacked(packed: Iterator[Array], middle: Array, factors: Array, width: int, columns: int) -> Iterator[Array]:
    """Rows of numbers, less their zero points and times their scales."""
    start = 0
    for block in packed:
        stop = start + block.size * 2 // (factors.shape[1] * width)
        values = _nibbles(block).reshape(stop - start, -1, width)
        scaled = (values - middle[start:stop, :, None]) * factors[start:stop, :, None]
        yield scaled.reshape(stop - start, -1)[:, :columns]
        start = stop


def _nibbles(packed: Array) -> Array:
    flat = packed.reshape(-1)
    return np.stack([flat & 15, flat >> 4], axis=-1).reshape(-1).astype(np.float32)


def _numbers(node: onnx.NodeProto) -> dict[str, int]:
    return {attribute.name: attribute.i for attribute in node.attribute if attribute.type == attribute.INT}
