"""Which rule each node goes by; that onnxruntime does so, too, is held in `tests/runtime/test_assignment.py`."""

import onnx
import pytest
from onnx import helper

from examples.placed import annotated, beside, model_of, value
from onnx_tagger.model.graph import walk
from onnx_tagger.workflows.placing.predicting import predicted
from onnx_tagger.workflows.placing.rules import Rule, parse_rules


def literal(text: str) -> list[Rule]:
    return [Rule(rule.device, rule.item, rule.exact, (rule.item,)) for rule in parse_rules(text)]


def devices(model: onnx.ModelProto, text: str) -> dict[str, str]:
    walked, rules = walk(model), literal(text)
    annotations = {op.id: op.node.metadata_props[0].value for op in walked.ops if op.node.metadata_props}
    return {
        walked.ops[index].node.name: rules[place].device
        for index, place in predicted(walked, annotations, rules).items()
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a(/N/B.1)", {"n0": "a", "n1": "a"}),
        ("a(/N/B.1/)", {"n0": "a"}),
        ("a(=/N/B.1)", {}),
        ("a(=/N/B.1/)", {"n0": "a"}),
        ("a(/N/); b(/N/B.1/)", {"n0": "a", "n1": "a"}),
        ("b(/N/B.1/); a(/N/)", {"n0": "b", "n1": "a"}),
        ("b(=/N/B.1/); a(/N/)", {"n0": "a", "n1": "a"}),
    ],
)
def test_the_leftmost_beginning_wins_and_any_beginning_over_an_exact_one(text: str, wanted: dict[str, str]) -> None:
    assert devices(beside(["/N/B.1/", "/N/B.10/", ""]), text) == wanted


def test_nodes_of_bodies_go_with_their_owner_unless_a_rule_fits_them() -> None:
    then = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["r"], "plain"),
            annotated(helper.make_node("Mul", ["r", "x"], ["s"], "other"), "/N/E/"),
        ],
        "then",
        [],
        [value("s")],
    )
    nodes = [annotated(helper.make_node("If", ["c"], ["y"], "if", then_branch=then, else_branch=then), "/N/B/")]
    model = model_of(nodes, ["y"])
    assert devices(model, "a(/N/B/)") == {"if": "a", "plain": "a", "other": "a"}
    assert devices(model, "a(/N/B/); b(/N/E/)") == {"if": "a", "plain": "a", "other": "b"}
    assert devices(model, "b(/N/E/)") == {"other": "b"}


def test_nodes_of_functions_go_by_their_calls_whatever_they_carry() -> None:
    inner = [annotated(helper.make_node("Add", ["a", "a"], ["b"], "inner"), "/N/E/")]
    function = helper.make_function("loc", "F", ["a"], ["b"], inner, [helper.make_opsetid("", 17)])
    calls = [annotated(helper.make_node("F", ["x"], [f"y{k}"], f"call{k}", domain="loc"), "/N/B/") for k in (0, 1)]
    model = model_of(calls, ["y0", "y1"], [function])
    assert devices(model, "a(/N/E/)") == {}
    assert devices(model, "a(/N/B/)") == {"call0": "a", "call1": "a", "inner": "a"}
    calls[1].metadata_props[0].value = "/N/E/"
    assert "inner" not in devices(model_of(calls, ["y0", "y1"], [function]), "a(/N/B/)")
