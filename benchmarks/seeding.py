"""Errors that are put into tagged files: a weight, a result or a scale of one module that is off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_tagger.model.metadata import tag_of

# Nodes that hand on what they take: an error put behind one would not be its module's.
_MOVING = frozenset(
    {"Identity", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Constant", "Cast"}
)
_STORED = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class Seed:
    """An error that can be put into a file.

    Attributes
    ----------
    modules : frozenset of str
        The modules whose work the node does.
    node : int
    weight : str
        The stored tensor that is changed; empty if the node's result is.
    """

    modules: frozenset[str]
    node: int
    weight: str

    def put(self, model: onnx.ModelProto, factor: float) -> onnx.ModelProto:
        """A copy of the model with the error in it."""
        made = onnx.ModelProto()
        made.CopyFrom(model)
        graph = made.graph
        node = graph.node[self.node]
        if self.weight:
            tensor = next(each for each in graph.initializer if each.name == self.weight)
            array = numpy_helper.to_array(tensor)
            changed = numpy_helper.from_array(
                (array * array.dtype.type(factor)).astype(array.dtype), f"{self.weight}_bad"
            )
            graph.initializer.append(changed)
            for place, name in enumerate(node.input):
                if name == self.weight:
                    node.input[place] = changed.name
            return made
        # The result keeps its name, so that whoever reads it reads what is off.
        result = node.output[0]
        node.output[0] = f"{result}_right"
        kind = _float_type(made, result)
        graph.initializer.append(helper.make_tensor(f"{result}_factor", kind, [], [factor]))
        scaled = helper.make_node("Mul", [node.output[0], f"{result}_factor"], [result], f"{result}_bad")
        scaled.metadata_props.extend(node.metadata_props)
        graph.node.insert(self.node + 1, scaled)
        return made


def _float_type(model: onnx.ModelProto, name: str) -> int:
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    half = onnx.TensorProto.FLOAT16
    return half if half in kinds and onnx.TensorProto.FLOAT not in kinds else onnx.TensorProto.FLOAT


def seeds_of(model: onnx.ModelProto, leaves: frozenset[str]) -> list[Seed]:
    """One error for each leaf module with nodes: in a weight of floats, or in its last result that is one."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    shared = Counter(name for node in model.graph.node for name in node.input)
    values = _floats(model)
    found: dict[str, Seed] = {}
    for place, node in enumerate(model.graph.node):
        tag = tag_of(node)
        if tag is None or tag.module not in leaves or node.op_type in _STORED:
            continue
        modules = frozenset(tag.modules)
        known = found.get(tag.module)
        weight = next((n for n in node.input if n in stored and shared[n] and _is_weight(stored[n])), "")
        if weight and node.op_type not in ("Gather", "Resize", "Pad"):
            if known is None or not known.weight:
                found[tag.module] = Seed(modules, place, weight)
        elif (known is None or not known.weight) and _can_be_scaled(node, values):
            found[tag.module] = Seed(modules, place, "")
    return list(found.values())


def _can_be_scaled(node: onnx.NodeProto, floats: set[str]) -> bool:
    """Whether a node computes floats that lie as the standard says."""
    return node.op_type not in _MOVING and node.domain != "com.microsoft.nchwc" and node.output[0] in floats


def _is_weight(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and int(np.prod(tensor.dims)) > 4


def _floats(model: onnx.ModelProto) -> set[str]:
    """Tensors of floats, as far as shapes are inferred."""
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:  # noqa: BLE001 - operators that onnx does not know
        inferred = model
    values = [*inferred.graph.value_info, *inferred.graph.output]
    return {value.name for value in values if value.type.tensor_type.elem_type in kinds}


def spoiled(model: onnx.ModelProto, leaves: frozenset[str]) -> Iterator[tuple[frozenset[str], onnx.ModelProto]]:
    """The model with one weight's scale, or one weight of floats, off by 20 %, for each leaf module that has one."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    scales: dict[str, tuple[int, int, frozenset[str]]] = {}
    for place, node in enumerate(model.graph.node):
        tag = tag_of(node)
        if tag is None or tag.module not in leaves or tag.module in scales:
            continue
        for at, name in enumerate(node.input):
            scale = node.op_type == "DequantizeLinear" and at == 1 and node.input[0] in stored
            # A bias is small beside what it is added to, and its error beside the rounding of that.
            scale = scale and stored[node.input[0]].data_type in (2, 3) and len(stored[node.input[0]].dims) > 1
            mul = node.op_type == "Mul" and name in stored and name.endswith("_scale")
            dynamic = node.op_type == "Mul" and name in stored
            half = node.op_type in ("MatMul", "Gemm", "Conv") and name in stored and _is_weight(stored[name])
            packed = node.op_type == "MatMulNBits" and at == 2
            if scale or mul or half or packed or (dynamic and "scale" in name):
                scales[tag.module] = place, at, frozenset(tag.modules)
                break
    for place, at, modules in scales.values():
        made = onnx.ModelProto()
        made.CopyFrom(model)
        node = made.graph.node[place]
        tensor = next(each for each in made.graph.initializer if each.name == node.input[at])
        array = numpy_helper.to_array(tensor)
        name = f"{tensor.name}_bad"
        made.graph.initializer.append(
            numpy_helper.from_array((array * array.dtype.type(1.2)).astype(array.dtype), name)
        )
        node.input[at] = name
        yield modules, made
