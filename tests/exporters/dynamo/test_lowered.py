"""Which operation a node was written for, on graphs of a few nodes."""

from __future__ import annotations

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch._ops import HigherOrderOperator

from onnx_tagger.exporters.dynamo.lowered import enclosing_operations, repeated_by
from onnx_tagger.model.graph import walk


def _operations() -> dict[str, torch.fx.Node]:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    one = graph.call_function(torch.ops.aten.sin.default, (x,), name="one")
    two = graph.call_function(torch.ops.aten.cos.default, (one,), name="two")
    choice = graph.call_function(torch.ops.higher_order.cond, (two,), name="choice")
    return {"one": one, "two": two, "choice": choice}


def _model(nodes: list[onnx.NodeProto], result: str) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    x, out = value("x", TensorProto.FLOAT, [2]), value(result, TensorProto.FLOAT, [2])
    return helper.make_model(helper.make_graph(nodes, "g", [x], [out]))


def _found(nodes: list[onnx.NodeProto], known: list[str | None], result: str) -> list[str | None]:
    operations = _operations()
    given = [operations[name] if name is not None else None for name in known]
    found = enclosing_operations(walk(_model(nodes, result)), given)
    return [node.name if node is not None else None for node in found]


def test_a_node_on_a_way_within_an_operation_is_of_it() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=1),
        helper.make_node("Cast", ["b"], ["c"], to=1),
        helper.make_node("Mul", ["x", "c"], ["one"]),
    ]
    assert _found(nodes, ["one", None, None, "one"], "one") == ["one"] * 4


def test_a_node_between_two_operations_may_be_of_either() -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["one"]),
        helper.make_node("Cast", ["one"], ["b"], to=1),
        helper.make_node("Cos", ["b"], ["two"]),
    ]
    assert _found(nodes, ["one", None, "two"], "two") == ["one", None, "two"]


@pytest.mark.parametrize(("read", "operation"), [("inner", "one"), ("one", None)])
def test_what_nothing_reads_is_of_the_operation_whose_inner_tensor_it_reads(read: str, operation: str | None) -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["inner"]),
        helper.make_node("Mul", ["inner", "inner"], ["one"]),
        helper.make_node("Identity", [read], ["dead"]),
        helper.make_node("Cos", ["one"], ["two"]),
    ]
    assert _found(nodes, ["one", "one", None, "two"], "two") == ["one", "one", operation, "two"]


def test_a_node_that_makes_an_output_of_the_file_is_not_dead() -> None:
    nodes = [helper.make_node("Sin", ["x"], ["inner"]), helper.make_node("Identity", ["inner"], ["out"])]
    assert _found(nodes, ["one", None], "out") == ["one", None]


def _choice(owner: str) -> tuple[list[onnx.NodeProto], list[str | None]]:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    inner = helper.make_graph([helper.make_node("Sin", ["x"], ["y"])], "inner", [], [value])
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner),
    ]
    return nodes, [owner, owner, None, None]


def test_a_body_is_of_its_owners_operation_unless_that_is_the_models_own_choice() -> None:
    for owner, inside in (("two", "two"), ("choice", None)):
        nodes, known = _choice(owner)
        assert _found(nodes, known, "z") == [owner, owner, inside, inside]


def test_among_many_operations_nothing_is_looked_for() -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    operations = [graph.call_function(torch.ops.aten.sin.default, (x,), name=f"s{i}") for i in range(12)]
    nodes = [helper.make_node("Sin", ["x"], [f"inner{i}"]) for i in range(12)]
    nodes.append(helper.make_node("Concat", [f"inner{i}" for i in range(12)], ["all"], axis=0))
    nodes.append(helper.make_node("Mul", ["all", "all"], ["s0"]))
    found = enclosing_operations(walk(_model(nodes, "s0")), [*operations, None, operations[0]])
    assert found[12] is None


def test_only_loops_of_the_models_own_repeat_what_they_call() -> None:
    operations = _operations()
    assert isinstance(operations["choice"].target, HigherOrderOperator)
    value = helper.make_tensor_value_info
    names = [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []), value("s", TensorProto.FLOAT, [2])]
    results = [value("c", TensorProto.BOOL, []), value("t", TensorProto.FLOAT, [2])]
    body = helper.make_graph([helper.make_node("Sin", ["s"], ["t"])], "body", names, results)
    walked = walk(_model([helper.make_node("Loop", ["", "", "x"], ["z"], body=body)], "z"))
    assert repeated_by(walked.ops[1], [operations["choice"], None]) is walked.ops[0]
    assert repeated_by(walked.ops[1], [operations["two"], operations["two"]]) is None
    assert repeated_by(walked.ops[0], [operations["choice"], None]) is None
