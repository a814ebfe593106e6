"""Tensors that go from one device to another."""

from examples.placed import chain
from onnx_tagger.model.graph import walk
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.placing.crossing import crossings, tensor_bytes


def test_each_tensor_counts_once_for_each_device_that_reads_it() -> None:
    model = chain()
    ctx = Context(model, None)
    layers = {"layers.0", "layers.0.fc", "layers.1", "layers.1.fc"}
    found = crossings(
        walk(model),
        ctx.get(DataFlow),
        lambda op: "gpu" if op.node.name in layers else "cpu" if op.node.name == "embed" else None,
        tensor_bytes(model),
    )
    assert [(one.source, one.target, one.tensors, one.bytes, one.unknown) for one in found] == [
        ("cpu", "gpu", ("embed",), 24, 0),
        ("gpu", None, ("layers.1.fc",), 24, 0),
    ]


def test_a_tensor_of_open_size_is_unknown_and_not_nothing() -> None:
    model = chain()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    assert tensor_bytes(model)["embed"] is None
    assert tensor_bytes(chain())["embed"] == 24
