"""Bytes of stored tensors: shared ones in equal parts, outer ones in bodies, small and sparse types."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.measures.measure import Measured
from onnx_tagger.measures.weights import measure
from onnx_tagger.model.graph import walk


def bytes_of(model: onnx.ModelProto) -> list[float | None]:
    walked = walk(model)
    (found,) = measure(Measured(walked, walked.ops, [None] * len(walked.ops)))
    assert (found.column.unit, found.column.rule) == ("B", "sum")
    return list(found.values)


def model_of(nodes: list[onnx.NodeProto], *stored: onnx.TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "g", [], [], list(stored)))


def floats(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, dtype=np.float32), name)


def test_a_tensor_is_shared_out_to_its_readers() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Mul", ["b", "b"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
    ]
    # One that reads a tensor twice is one reader; one that nothing reads is nobody's.
    assert bytes_of(model_of(nodes, floats("w", 4, 4), floats("b", 4), floats("lost", 9))) == [64, 8, 8, 0]


def test_bodies_read_the_tensors_around_them() -> None:
    inner = helper.make_graph([helper.make_node("Add", ["w", "v"], ["o"])], "b", [], [], [floats("v", 2)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner)
    assert bytes_of(model_of([node], floats("w", 4))) == [0, 16 + 8]


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (TensorProto.INT4, 5),
        (TensorProto.UINT4, 5),
        (TensorProto.FLOAT16, 18),
        (TensorProto.BFLOAT16, 18),
        (TensorProto.INT8, 9),
        (TensorProto.DOUBLE, 72),
        (TensorProto.BOOL, 9),
        (TensorProto.STRING, 0),
        (TensorProto.FLOAT8E4M3FN, 9),
        (99, 0),
    ],
)
def test_types(kind: int, size: int) -> None:
    stored = onnx.TensorProto(name="w", data_type=kind, dims=[3, 3])
    assert bytes_of(model_of([helper.make_node("Neg", ["w"], ["y"])], stored)) == [size]


def test_sparse_tensors_are_their_values_and_indices() -> None:
    values, indices = floats("w", 3), numpy_helper.from_array(np.zeros(3, dtype=np.int64), "w_i")
    graph = helper.make_graph([helper.make_node("Neg", ["w"], ["y"])], "g", [], [])
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    assert bytes_of(helper.make_model(graph)) == [3 * 4 + 3 * 8]
