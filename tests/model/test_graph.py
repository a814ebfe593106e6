"""The walker: bodies at any depth, functions, order, labels, and what is refused."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from onnx_tagger.errors import FileFormatError
from onnx_tagger.model.graph import MAX_DEPTH, callee, functions_in_call_order, operator, walk

Node = onnx.NodeProto


def node(
    op: str, inputs: str = "", outputs: str = "", domain: str = "", overload: str = "", **attributes: object
) -> Node:
    """Make a node from space-separated tensor names, with its attributes in this order."""
    made: Node = helper.make_node(op, inputs.split(), outputs.split(), domain=domain, overload=overload)
    made.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return made


def graph(*nodes: Node, name: str = "g") -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [])


def model(*nodes: Node, functions: tuple[onnx.FunctionProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(graph(*nodes), functions=list(functions))


def function(name: str, *nodes: Node, domain: str = "my", overload: str = "") -> onnx.FunctionProto:
    made: onnx.FunctionProto = helper.make_function(domain, name, ["x"], ["y"], list(nodes), [])
    made.overload = overload
    return made


def call(name: str, domain: str = "my", overload: str = "") -> Node:
    return node(name, "x", "y", domain=domain, overload=overload)


def labels(made: onnx.ModelProto) -> list[str]:
    return [op.label for op in walk(made).ops]


def nested() -> onnx.ModelProto:
    """An If that holds a Loop that holds a Scan that holds an Add, with nodes before and after each."""
    scan = node("Scan", "a", "b", body=graph(node("Neg"), node("Add")), num_scan_inputs=1)
    loop = node("Loop", "", "c", body=graph(node("Relu"), scan, node("Exp")))
    either = node("If", "", "d", then_branch=graph(loop), else_branch=graph(node("Sub"), node("Mul")))
    return model(node("Abs"), either, node("Log"))


def test_bodies_follow_their_owner_at_any_depth() -> None:
    assert labels(nested()) == [
        "main#0 Abs",
        "main#1 If",
        "main/If_1.then_branch#0 Loop",
        "main/If_1.then_branch/Loop_0.body#0 Relu",
        "main/If_1.then_branch/Loop_0.body#1 Scan",
        "main/If_1.then_branch/Loop_0.body/Scan_1.body#0 Neg",
        "main/If_1.then_branch/Loop_0.body/Scan_1.body#1 Add",
        "main/If_1.then_branch/Loop_0.body#2 Exp",
        "main/If_1.else_branch#0 Sub",
        "main/If_1.else_branch#1 Mul",
        "main#2 Log",
    ]


def test_ids_depths_owners_and_families() -> None:
    walked = walk(nested())
    assert [op.id for op in walked.ops] == list(range(11))
    assert [scope.depth for scope in walked.scopes] == [0, 1, 1, 2, 3]
    assert {scope.family for scope in walked.scopes} == {"main"}
    innermost = next(op for op in walked.ops if op.node.op_type == "Neg").scope
    chain = []
    scope = innermost
    while scope.owner is not None:
        chain.append(scope.owner.node.op_type)
        assert scope.parent is scope.owner.scope
        scope = scope.owner.scope
    assert chain == ["Scan", "Loop", "If"]
    assert scope.parent is None


def test_each_op_is_the_model_s_own_node() -> None:
    made = nested()
    for op in walk(made).ops:
        op.node.name = op.label
    assert made.graph.node[1].attribute[0].g.node[0].name == "main/If_1.then_branch#0 Loop"


def test_lists_of_bodies_are_numbered() -> None:
    many = helper.make_node("Pick", [], ["y"], branches=[graph(node("Add")), graph(node("Sub"))], domain="other")
    assert labels(model(many)) == ["main#0 Pick", "main/Pick_0.branches[0]#0 Add", "main/Pick_0.branches[1]#0 Sub"]


def test_labels_are_unique_and_graphs_sum_to_the_nodes() -> None:
    made = nested()
    made.functions.append(function("f", node("Add"), node("Add")))
    made.graph.node.extend([call("f"), node("Add")])
    walked = walk(made)
    assert len({op.label for op in walked.ops}) == len(walked.ops)
    assert sum(len(scope.ops) for scope in walked.scopes) == len(walked.ops)
    assert [op.index for scope in walked.scopes for op in scope.ops] == [
        index for scope in walked.scopes for index in range(len(scope.ops))
    ]


def test_empty_model() -> None:
    walked = walk(model())
    assert walked.ops == []
    assert [scope.name for scope in walked.scopes] == ["main"]


def test_functions_come_last_and_are_called_from_bodies() -> None:
    either = node("If", "c", "d", then_branch=graph(call("f")), else_branch=graph(node("Sub")))
    inside = node("If", "c", "d", then_branch=graph(call("inner")))
    walked = walk(model(either, functions=(function("f", node("Add"), inside), function("inner", node("Exp")))))
    assert [op.label for op in walked.ops] == [
        "main#0 If",
        "main/If_0.then_branch#0 f",
        "main/If_0.else_branch#0 Sub",
        "function:my.f#0 Add",
        "function:my.f#1 If",
        "function:my.f/If_1.then_branch#0 inner",
        "function:my.inner#0 Exp",
    ]
    sites = {key: [op.label for op in ops] for key, ops in walked.calls.items()}
    assert sites == {
        ("my", "f", ""): ["main/If_0.then_branch#0 f"],
        ("my", "inner", ""): ["function:my.f/If_1.then_branch#0 inner"],
    }
    assert [scope.family for scope in walked.scopes] == ["main"] * 3 + ["function:my.f"] * 2 + ["function:my.inner"]
    assert all(scope.called for scope in walked.scopes)
    assert walked.counted == walked.ops


def test_functions_never_called_are_not_counted() -> None:
    dead = function("dead", node("If", "c", "d", then_branch=graph(call("deader"))))
    walked = walk(
        model(node("Add"), call("f"), functions=(function("f", node("Mul")), dead, function("deader", node("Exp"))))
    )
    assert [op.label for op in walked.counted] == ["main#0 Add", "main#1 f", "function:my.f#0 Mul"]
    assert [scope.name for scope in walked.scopes if not scope.called] == [
        "function:my.dead",
        "function:my.dead/If_0.then_branch",
        "function:my.deader",
    ]


def test_overloads_are_functions_of_their_own() -> None:
    functions = (function("f", node("Add")), function("f", node("Mul"), overload="v2"), function("f", domain="other"))
    walked = walk(model(call("f", overload="v2"), functions=functions))
    assert [scope.name for scope in walked.scopes] == ["main", "function:my.f", "function:my.f:v2", "function:other.f"]
    assert [scope.name for scope in walked.scopes if scope.called] == ["main", "function:my.f:v2"]


def test_functions_in_call_order_puts_callers_first() -> None:
    functions = (function("c", node("Exp")), function("b", call("c")), function("a", call("c"), call("b")))
    walked = walk(model(call("a"), functions=functions))
    assert [key[1] for key in functions_in_call_order(walked)] == ["a", "b", "c"]


@pytest.mark.parametrize("circle", [("a",), ("a", "b"), ("a", "b", "c")])
def test_circular_functions_are_refused(circle: tuple[str, ...]) -> None:
    functions = tuple(
        function(name, node("If", "c", "d", then_branch=graph(call(circle[(i + 1) % len(circle)]))))
        for i, name in enumerate(circle)
    )
    with pytest.raises(FileFormatError, match=r"function:my\.a.* in a circle, which ONNX forbids"):
        walk(model(call("a"), functions=functions))


def test_too_deep_bodies_are_refused() -> None:
    made = onnx.ModelProto()
    deepest = made.graph
    for _ in range(MAX_DEPTH):
        deepest = deepest.node.add(op_type="If").attribute.add(name="then_branch").g
    assert len(walk(made).ops) == MAX_DEPTH
    deepest.node.add(op_type="If").attribute.add(name="then_branch").g.name = "one too deep"
    with pytest.raises(FileFormatError, match=f"nested deeper than {MAX_DEPTH} levels"):
        walk(made)


def test_operator_names_the_domain_that_is_not_onnx_s() -> None:
    assert [operator(node("Add", domain=domain)) for domain in ("", "ai.onnx", "com.microsoft")] == [
        "Add",
        "Add",
        "com.microsoft::Add",
    ]
    assert callee(call("f", overload="v2")) == ("my", "f", "v2")


def test_names_of_a_scope() -> None:
    made = model(node("Add"), functions=(function("f", node("Add")),))
    made.graph.input.append(helper.make_tensor_value_info("in", 1, [2]))
    made.graph.output.append(helper.make_tensor_value_info("out", 1, [2]))
    made.graph.initializer.append(helper.make_tensor("w", 1, [1], [1.0]))
    sparse = made.graph.sparse_initializer.add()
    sparse.values.name = "s"
    main, inner = walk(made).scopes
    assert (main.input_names, main.output_names, main.initializer_names) == (["in"], ["out"], ["w", "s"])
    assert (inner.input_names, inner.output_names, inner.initializer_names) == (["x"], ["y"], [])
