"""Functions of onnx-graphsurgeon as passes: what they leave keeps its tags, what they make gets one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source, own_tag, props_of
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager

gs = pytest.importorskip("onnx_graphsurgeon")

TREE = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Linear"), ModuleRow("b", "Relu")])


def model() -> onnx.ModelProto:
    """MatMul of `a`, Identity of the root, Relu of `b`."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("Identity", ["h"], ["i"], name="middle"),
        helper.make_node("Relu", ["i"], ["y"], name="last"),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in "xy")
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    return helper.make_model(helper.make_graph(nodes, "net", [x], [y], [weight]))


def run(fn: Any, *more: ot.Pass, made: onnx.ModelProto | None = None, tree: HierarchyMap | None = TREE) -> Context:
    ctx = Context(made or model(), tree)
    if tree is not None:
        ctx.tags.update(zip(ctx.ops, (tree.tag(path, Source.EXPORTED) for path in ("a", "", "b")), strict=True))
    return PassManager([ot.GraphSurgeonPass(fn), *more], verify=True).run_in(ctx)


def drop_identity(graph: Any) -> None:
    middle = next(node for node in graph.nodes if node.op == "Identity")
    middle.outputs[0].outputs[0].inputs[0] = middle.inputs[0]
    graph.cleanup()


def add_a_relu(graph: Any) -> Any:
    new = gs.Variable("fresh", dtype=np.float32, shape=[2, 4])
    last = graph.nodes[-1]
    graph.nodes.append(gs.Node("Relu", name="added", inputs=[last.inputs[0]], outputs=[new]))
    last.inputs[0] = new
    return graph.toposort()


def test_what_stays_keeps_its_tag_and_is_written() -> None:
    ctx = run(drop_identity, ot.Inject(), ot.Coverage())
    found = {node.name: own_tag(props_of(node)) for node in ctx.model.graph.node}
    assert {name: tag.module for name, tag in found.items() if tag is not None} == {"first": "a", "last": "b"}
    assert (found["first"].source, found["last"].source) == (Source.MATCHED, Source.ALIGNED)
    assert ctx.report.ok


def test_what_is_new_gets_the_region_and_weights_stay() -> None:
    ctx = run(add_a_relu)
    modules = {op.node.name: ctx.tags[op].module for op in ctx.ops}
    assert modules == {"first": "a", "middle": "", "added": "b", "last": "b"}
    np.testing.assert_array_equal(numpy_helper.to_array(ctx.model.graph.initializer[0]), np.ones((4, 4), np.float32))


def test_a_model_without_a_map_is_changed_all_the_same() -> None:
    assert [op.node.op_type for op in run(drop_identity, tree=None).ops] == ["MatMul", "Relu"]


def test_a_model_whose_weights_were_left_out_is_refused() -> None:
    made = model()
    made.graph.initializer[0].ClearField("raw_data")
    with pytest.raises(ot.TaggerError, match=r"weight 'w' was left out on reading: run this pass on onnx.load"):
        run(drop_identity, made=made)


def test_an_error_of_the_function_names_the_pass() -> None:
    with pytest.raises(ot.TaggerError, match="pass 'graphsurgeon' failed: ZeroDivisionError"):
        run(lambda graph: 1 / 0)
