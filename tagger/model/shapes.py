"""Shapes that ONNX infers for the tensors of a graph, of models whose weights may be missing."""

from __future__ import annotations

import onnx


def inferred_graph(model: onnx.ModelProto) -> onnx.GraphProto:
    """The graph of a model with the types and shapes that ONNX infers; as it is where ONNX cannot.

    Parameters
    ----------
    model : onnx.ModelProto
        Weights may be missing.

    Examples
    --------
    >>> from onnx import helper
    >>> values = [helper.make_tensor_value_info(name, 1, [2]) for name in "xz"]
    >>> nodes = [helper.make_node("Relu", [a], [b]) for a, b in ("xy", "yz")]
    >>> graph = inferred_graph(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])))
    >>> [value.name for value in graph.value_info]
    ['y']
    """
    try:
        return onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return model.graph  # it is too large for protobuf, or does not fit itself
