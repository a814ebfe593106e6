"""Which nodes only work out sizes: by how their results are read, through any number of steps."""

from __future__ import annotations

from onnx import helper

from onnx_tagger.passes.base import Context
from onnx_tagger.passes.index import DataFlow
from onnx_tagger.passes.sizes import only_sizes


def sizes(*nodes: str) -> list[str]:
    """Outputs of the nodes, written ``Op input ... -> output``, that only work out sizes."""
    made = []
    for text in nodes:
        head, output = text.split(" -> ")
        kind, *inputs = head.split()
        made.append(helper.make_node(kind, inputs, [output]))
    graph = helper.make_graph(made, "g", [helper.make_tensor_value_info("x", 1, None)], [])
    ctx = Context(helper.make_model(graph))
    found = only_sizes(ctx.ops, ctx.get(DataFlow))
    return [op.node.output[0] for op in ctx.ops if found[op.id]]


def test_a_chain_that_ends_in_the_shape_of_a_reshape() -> None:
    assert sizes("Shape x -> s", "Gather s zero -> d", "Concat d minus -> t", "Reshape x t -> y") == ["s", "d", "t"]


def test_what_is_read_as_data_is_data() -> None:
    assert sizes("Shape x -> s", "Cast s -> f", "Div x f -> y") == []
    assert sizes("Range a b c -> r", "Gather x r -> y") == []
    assert sizes("Shape x -> s", "Reshape s s -> y") == []


def test_what_is_also_read_as_data_is_data() -> None:
    assert sizes("Shape x -> s", "Expand x s -> y", "Add x s -> z") == []


def test_what_nobody_reads_is_a_result() -> None:
    assert sizes("Shape x -> s") == []
