"""Bytes of stored tensors by module: each tensor is shared out in equal parts to the nodes that read it.

So the rows add up to what is stored and read; a tied weight counts once. Sizes come from shapes and types, so the
values need not be at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import onnx
from onnx import helper

from onnx_tagger.measures.measure import Column, Measure, Measured
from onnx_tagger.model.graph import Op, Scope

# Bits of the types that share bytes.
_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}


def measure(measured: Measured) -> list[Measure]:
    """Bytes for each node; none for nodes that read no stored tensor."""
    stored = {id(scope): _sizes(scope) for scope in measured.walk.scopes}
    readers: dict[tuple[int, str], list[int]] = {}
    for index, op in enumerate(measured.ops):
        for key in _reads(op, stored):
            readers.setdefault(key, []).append(index)
    values = [0.0] * len(measured.ops)
    for (scope, name), indexes in readers.items():
        share = stored[scope][name] / len(indexes)
        for index in indexes:
            values[index] += share
    return [Measure(Column("weights", "B"), values)]


def _reads(op: Op, stored: dict[int, dict[str, float]]) -> Iterator[tuple[int, str]]:
    """The stored tensors that a node reads, each once; bodies see those of the graphs around them."""
    for name in dict.fromkeys(op.node.input):
        scope: Scope | None = op.scope
        while scope is not None:
            if name in stored[id(scope)]:
                yield id(scope), name
                break
            scope = scope.parent


def _sizes(scope: Scope) -> dict[str, float]:
    if isinstance(scope.proto, onnx.FunctionProto):
        return {}
    sizes = {tensor.name: _bytes_of(tensor) for tensor in scope.proto.initializer}
    for tensor in scope.proto.sparse_initializer:
        sizes[tensor.values.name] = _bytes_of(tensor.values) + _bytes_of(tensor.indices)
    return sizes


def _bytes_of(tensor: onnx.TensorProto) -> float:
    return stored_bytes(tensor.data_type, prod(tensor.dims))


def stored_bytes(data_type: int, count: int) -> float:
    """Size of so many values of an ONNX type as they are stored; 0 for types without a fixed size.

    Examples
    --------
    >>> stored_bytes(onnx.TensorProto.FLOAT16, 3), stored_bytes(onnx.TensorProto.INT4, 3)
    (6, 2)
    """
    try:
        name = onnx.TensorProto.DataType.Name(data_type)
        bits = _BITS.get(name) or 8 * helper.tensor_dtype_to_np_dtype(data_type).itemsize
    except (KeyError, ValueError, TypeError):
        return 0.0
    return 0.0 if name == "STRING" else (count * bits + 7) // 8
