"""Which nodes only work out sizes: by how their results are read, through any number of steps."""

from __future__ import annotations

from onnx import helper

from onnx_tagger.passes.analyses.sizes import Idle, OnlySizes
from onnx_tagger.passes.base import Context


def sizes(*nodes: str) -> list[str]:
    """Outputs of the nodes, written ``Op input ... -> output``, that only work out sizes."""
    made = []
    for text in nodes:
        head, output = text.split(" -> ")
        kind, *inputs = head.split()
        made.append(helper.make_node(kind, inputs, [output]))
    graph = helper.make_graph(made, "g", [helper.make_tensor_value_info("x", 1, None)], [])
    ctx = Context(helper.make_model(graph))
    found = ctx.get(OnlySizes)
    return [op.node.output[0] for op in ctx.ops if found[op.id]]


def test_a_chain_that_ends_in_the_shape_of_a_reshape() -> None:
    assert sizes("Shape x -> s", "Gather s zero -> d", "Concat d minus -> t", "Reshape x t -> y") == ["s", "d", "t"]


def test_what_is_read_as_data_is_data() -> None:
    assert sizes("Shape x -> s", "Cast s -> f", "Div x f -> y") == []
    assert sizes("Range a b c -> r", "Gather x r -> y") == []
    assert sizes("Shape x -> s", "Reshape s s -> y") == []


def test_what_is_also_read_as_data_is_data() -> None:
    assert sizes("Shape x -> s", "Expand x s -> y", "Add x s -> z") == []


def test_what_a_body_reads_or_gives_back_is_data() -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["r", "r"], ["t"])], "b", [], [helper.make_empty_tensor_value_info("t")]
    )
    choose = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    made = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]), choose]
    ctx = Context(helper.make_model(helper.make_graph(made, "g", [], [])))
    assert not any(ctx.get(OnlySizes))


def test_a_result_of_the_graph_is_data_also_if_it_is_a_shape() -> None:
    made = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Reshape", ["x", "s"], ["y"])]
    outputs = [helper.make_empty_tensor_value_info(name) for name in "sy"]
    ctx = Context(helper.make_model(helper.make_graph(made, "g", [], outputs)))
    assert not any(ctx.get(OnlySizes))


def test_what_nobody_reads_is_a_result() -> None:
    assert sizes("Shape x -> s") == []


def test_an_operator_called_constant_makes_a_constant_whatever_it_reads() -> None:
    """As a saved node of that name does; the standard's reads nothing."""
    made = helper.make_model(helper.make_graph([helper.make_node("Constant", ["x"], ["y"], domain="my")], "g", [], []))
    assert Context(made).get(Idle) == [True]
