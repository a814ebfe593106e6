"""Correspondence: which saved tensor a tensor is, which weight is read, and in which order a file's nodes come."""

from __future__ import annotations

import onnx
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import MAIN, walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.alignment.correspondence import Correspondence
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.analyses.saved import SavedGraphIndex
from onnx_tagger.passes.base import Context

TREE = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "A")])


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, 1, [1]) for name in ("in", "out")]
    weight = helper.make_tensor("w", 1, [1], [1.0])
    return helper.make_model(helper.make_graph(list(nodes), "g", values[:1], values[1:], [weight]))


def beside(changed: onnx.ModelProto, exported: onnx.ModelProto, distrusted: tuple[str, ...] = ()) -> Correspondence:
    walked = walk(exported)
    graph = SavedGraph.of(walked, [TREE.tag("a", Source.EXPORTED) for _ in walked.ops])
    tree = HierarchyMap(TREE.modules, graph=graph)
    ctx = Context(changed, tree)
    index = ctx.get(SavedGraphIndex)
    assert index is not None
    return Correspondence(ctx, tree, index, ctx.get(DataFlow), {}, {}, distrusted)


PLAIN = model(helper.make_node("MatMul", ["in", "w"], ["h"], "mm"), helper.make_node("Relu", ["h"], ["out"], "act"))


def test_structure_adds_to_names_and_replaces_what_exists() -> None:
    renamed = model(helper.make_node("MatMul", ["in", "w"], ["x"]), helper.make_node("Relu", ["x"], ["out"]))
    same = beside(renamed, PLAIN)
    assert same.key(MAIN, "x") == (MAIN, "x")
    same.compare(set(same.ops))
    assert same.key(MAIN, "x") == (MAIN, "h")
    assert (MAIN, "h") in same.alive
    assert (MAIN, "x") not in same.alive


def test_what_is_distrusted_is_no_saved_tensor() -> None:
    assert beside(PLAIN, PLAIN).known(beside(PLAIN, PLAIN).ops[0]) == [(MAIN, "h")]
    same = beside(PLAIN, PLAIN, ("h",))
    assert same.known(same.ops[0]) == []


def test_a_moved_weight_is_that_weight_and_a_missing_input_is_none() -> None:
    same = beside(
        model(
            helper.make_node("Transpose", ["w"], ["wt"]),
            helper.make_node("Cast", ["w"], [""], to=1),
            helper.make_node("MatMul", ["in", "wt"], ["h"]),
            helper.make_node("Clip", ["h", "", "w"], ["out"]),
        ),
        PLAIN,
    )
    assert set(same.weights(same.ops[2])) == {1}
    assert set(same.weights(same.ops[3])) == {2}


def test_an_owner_comes_behind_its_bodies() -> None:
    body = helper.make_graph(
        [helper.make_node("Neg", ["h"], ["n"])], "b", [], [helper.make_tensor_value_info("n", 1, [1])]
    )
    made = model(
        helper.make_node("Relu", ["in"], ["h"]),
        helper.make_node("If", ["in"], ["i"], then_branch=body, else_branch=body),
        helper.make_node("Exp", ["i"], ["out"]),
    )
    same = beside(made, PLAIN)
    assert [same.ops[index].node.op_type for index in same.order] == ["Relu", "Neg", "Neg", "If", "Exp"]
