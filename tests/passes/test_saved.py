"""Look-ups in a saved graph: what is not unique is not in them."""

from __future__ import annotations

from dataclasses import replace

import onnx

from onnx_tagger.hierarchy import HierarchyMap, SavedGraph, SavedNode
from onnx_tagger.naming import ModuleRow
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.saved import SavedGraphIndex, SavedIndex

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
