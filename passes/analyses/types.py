"""Type and shape of each tensor of the main graph, by onnx's shape inference on the model without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx

from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.analyses.dataflow import TensorKey
from onnx_tagger.passes.base import Analysis, Context

# What shapes are computed from is smaller than this.
_SMALL = 256

# Operators that onnx knows nothing of, whose output is as their first input is.
_ALIKE = {
    ("com.microsoft", "Gelu"),
    ("com.microsoft", "FastGelu"),
    ("com.microsoft", "QuickGelu"),
    ("", "SimplifiedLayerNormalization"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a tensor.

    Attributes
    ----------
    elem : int
        Its type as `onnx.TensorProto` numbers it; 0 if it is not known.
    shape : tuple of (int or None), or None
        Its sizes, None for one that is open; None if not even their number is known.
    """

    elem: int = 0
    shape: tuple[int | None, ...] | None = None

    __repr__ = brief_fields


class ValueTypes(Analysis[Mapping[TensorKey, Kind]]):
    """(0, tensor name) to what is known of it; what shape inference cannot tell is not in it."""

    def compute(self, ctx: Context) -> Mapping[TensorKey, Kind]:
        """Infer on a copy that holds small tensors only."""
        light = _light(ctx.model)
        try:
            graph = onnx.shape_inference.infer_shapes(light).graph
        except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            graph = light.graph  # what the file states is still known
        values = (*graph.input, *graph.value_info, *graph.output)
        return {(0, value.name): _kind_of(value) for value in values if value.type.HasField("tensor_type")}


def _light(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto(ir_version=model.ir_version)
    made.opset_import.extend(model.opset_import)
    made.functions.extend(model.functions)
    graph = made.graph
    graph.name = model.graph.name
    for field in ("input", "output", "value_info"):
        getattr(graph, field).extend(getattr(model.graph, field))
    for node in model.graph.node:
        held = next((each.t for each in node.attribute if each.HasField("t")), None)
        if held is not None and prod(held.dims) > _SMALL:
            # Its result is known as an initializer of the same shape.
            graph.initializer.add(name=node.output[0], data_type=held.data_type, dims=held.dims)
        elif (node.domain, node.op_type) in _ALIKE:
            graph.node.add(op_type="Identity", input=node.input[:1], output=node.output[:1])
        else:
            graph.node.append(node)
    for tensor in model.graph.initializer:
        if prod(tensor.dims) > _SMALL or tensor.data_location == onnx.TensorProto.EXTERNAL:
            graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        else:
            graph.initializer.append(tensor)
    return made


def _kind_of(value: onnx.ValueInfoProto) -> Kind:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return Kind(kind.elem_type)
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return Kind(kind.elem_type, dims)
