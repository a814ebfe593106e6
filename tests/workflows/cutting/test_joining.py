"""Opsets reconciled or refused, functions joined, names and order."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.cutting.joining import free_prefix, in_order, join_functions, reconciled


def model(op: str, opset: int, **attributes: object) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], "n", **attributes)
    return helper.make_model(helper.make_graph([node], "g", [], []), opset_imports=[helper.make_opsetid("", opset)])


def test_opsets_in_which_an_operator_is_the_same_are_reconciled() -> None:
    whole, part = model("Erf", 17), model("Erf", 18)
    reconciled(whole, part)
    assert whole.opset_import[0].version == 17


def test_the_part_s_opset_is_taken_where_only_it_has_changed_operators() -> None:
    whole, part = model("Erf", 17), model("ReduceMean", 18)
    reconciled(whole, part)
    assert whole.opset_import[0].version == 18


def test_opsets_that_differ_for_both_are_refused() -> None:
    with pytest.raises(TaggerError, match=r"has opset 18 .* the model 17, and ReduceMean is not the same in both"):
        reconciled(model("ReduceMean", 17), model("ReduceMean", 18))


def test_a_new_domain_is_added() -> None:
    whole, part = model("Erf", 17), model("Erf", 17)
    part.opset_import.add(domain="com.microsoft", version=1)
    reconciled(whole, part)
    assert [entry.domain for entry in whole.opset_import] == ["", "com.microsoft"]


def test_functions_of_one_name_have_to_be_equal() -> None:
    def function(op: str) -> onnx.FunctionProto:
        nodes = [helper.make_node(op, ["x"], ["y"])]
        return helper.make_function("own", "F", ["x"], ["y"], nodes, [helper.make_opsetid("", 17)])

    whole, same, other = model("Erf", 17), model("Erf", 17), model("Erf", 17)
    for each, op in ((whole, "Exp"), (same, "Exp"), (other, "Tanh")):
        each.functions.append(function(op))
    join_functions(whole, same)
    assert len(whole.functions) == 1
    with pytest.raises(TaggerError, match="each have a function 'F'"):
        join_functions(whole, other)


def test_a_prefix_is_free_and_nodes_are_sorted() -> None:
    assert free_prefix("a", ["a/x", "b"]) == "a#2/"
    nodes = [helper.make_node("Exp", [x], [y], y) for x, y in ("bc", "ab", "xa")]
    assert [node.name for node in in_order(nodes, float)] == ["a", "b", "c"]
    with pytest.raises(TaggerError, match="in a circle"):
        in_order([helper.make_node("Exp", [x], [y], y) for x, y in ("ab", "ba")], float)
