"""The order in which nodes run: the data flow's, with what depends on no input last."""

import onnx
from onnx import TensorProto, helper

from onnx_tagger.passes.analyses.run_order import RunOrder
from onnx_tagger.passes.base import Context


def order(model: onnx.ModelProto) -> list[str]:
    ctx = Context(model)
    ranks = ctx.get(RunOrder)
    assert sorted(ranks) == list(range(len(ctx.ops)))
    return [op.node.name for op in sorted(ctx.ops, key=lambda op: ranks[op.id])]


def model_of(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    return helper.make_model(helper.make_graph(list(nodes), "g", [x], [], [weight]))


def test_what_is_written_first_but_depends_on_no_input_comes_last() -> None:
    nodes = (
        helper.make_node("Identity", ["w"], ["w2"], "shared"),
        helper.make_node("Constant", [], ["k"], "constant", value_float=1.0),
        helper.make_node("Neg", ["k"], ["k2"], "folded"),
        helper.make_node("Mul", ["x", "w2"], ["a"], "first"),
        helper.make_node("Add", ["a", "k2"], ["b"], "second"),
    )
    assert order(model_of(*nodes)) == ["first", "second", "shared", "constant", "folded"]


def test_a_file_that_is_not_sorted() -> None:
    nodes = (helper.make_node("Add", ["a", "w"], ["b"], "second"), helper.make_node("Mul", ["x", "w"], ["a"], "first"))
    assert order(model_of(*nodes)) == ["first", "second"]


def test_an_owner_runs_with_its_body() -> None:
    inner = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["o"], "inner")],
        "b",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])],
    )
    nodes = (
        helper.make_node("Mul", ["x", "w"], ["a"], "before"),
        helper.make_node("If", ["c"], ["y"], "owner", then_branch=inner),
        helper.make_node("Exp", ["y"], ["z"], "after"),
    )
    found = order(model_of(*nodes))
    assert found.index("before") < found.index("inner") < found.index("after")
    assert found.index("owner") < found.index("after")
