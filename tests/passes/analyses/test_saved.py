"""Look-ups in a saved graph: what is not unique is not in them."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.passes.analyses.saved import SameNodes, SavedGraphIndex, SavedIndex
from onnx_tagger.passes.base import Context

TREE = HierarchyMap.from_rows([ModuleRow("", "Net")])


def index(*nodes: SavedNode) -> SavedIndex:
    graph = SavedGraph(nodes, (), (), {})
    found = Context(onnx.ModelProto(), replace(TREE, graph=graph)).get(SavedGraphIndex)
    assert found is not None
    return found


def node(scope: str, name: str, *outputs: str) -> SavedNode:
    return SavedNode(scope, name, "Add", (), outputs, None)


def test_nodes_are_found_by_name_and_by_output() -> None:
    found = index(node("main", "a", "x", ""), node("main", "", "y"))
    assert found.by_output == {("main", "x"): 0, ("main", "y"): 1}
    assert found.by_name == {("main", "a"): 0}


def test_what_two_nodes_share_is_found_by_neither() -> None:
    found = index(node("main", "a", "x"), node("main/If_0.then_branch", "a", "x"), node("main", "b", "z"))
    assert found.by_output == {("main", "z"): 2}
    assert found.by_name == {("main", "b"): 2}


def test_functions_have_names_of_their_own() -> None:
    found = index(node("main", "a", "x"), node("function:d.f", "a", "x"))
    assert found.by_output == {("main", "x"): 0, ("function:d.f", "x"): 1}


def test_a_map_without_a_graph_has_no_index() -> None:
    assert Context(onnx.ModelProto(), TREE).get(SavedGraphIndex) is None
    assert Context(onnx.ModelProto()).get(SavedGraphIndex) is None


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (helper.make_node("Split", ["x"], ["a", "b"]), 0),
        (helper.make_node("Split", ["x", ""], ["a", "b"]), 0),
        (helper.make_node("Split", ["x"], ["", "b"]), 0),
        (helper.make_node("Split", ["x", "k"], ["a", "b"]), -1),
        (helper.make_node("Split", ["x"], ["a", "new"]), -1),
        (helper.make_node("Split", ["x"], ["a", "c"]), -1),
        (helper.make_node("Split", ["x"], [""]), -1),
        (helper.make_node("Split", ["x"], []), -1),
        (helper.make_node("Concat", ["x"], ["a", "b"]), -1),
        (helper.make_node("Split", ["x"], ["a", "b"], domain="com.microsoft"), -1),
        (helper.make_node("Gelu", ["b"], ["c"], domain="com.microsoft"), 1),
        (helper.make_node("Gelu", ["b"], ["c"]), -1),
        (helper.make_node("Neg", ["c"], ["d"]), -1),
    ],
    ids=lambda value: None if isinstance(value, int) else f"{value.op_type} {value.input} {value.output}",
)
def test_a_node_is_the_saved_one_by_operator_inputs_and_all_outputs(made: onnx.NodeProto, place: int) -> None:
    nodes = [
        SavedNode("main", "s", "Split", ("x",), ("a", "b"), None),
        SavedNode("main/If_2.then_branch", "g", "com.microsoft::Gelu", ("b",), ("c",), None),
        SavedNode("function:f.g", "n", "Neg", ("c",), ("d",), None),
    ]
    model = helper.make_model(helper.make_graph([made], "g", [], []))
    assert Context(model, replace(TREE, graph=SavedGraph(nodes, (), (), {}))).get(SameNodes) == [place]


def test_nothing_is_saved_without_a_graph() -> None:
    model = helper.make_model(helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [], []))
    assert Context(model, TREE).get(SameNodes) == [-1]
