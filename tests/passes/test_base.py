"""The context: which nodes it lists, which tags outlive a change of the graph, and which values it can read."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.base import Context, Touches

TAG = Tag("", "/Net", Source.EXPORTED)


def context(*kinds: str) -> Context:
    nodes = [helper.make_node(kind, [f"t{i}"], [f"t{i + 1}"], name=f"n{i}") for i, kind in enumerate(kinds)]
    ctx = Context(helper.make_model(helper.make_graph(nodes, "g", [], [])))
    ctx.tags.update(dict.fromkeys(ctx.ops, TAG))
    return ctx


def test_tags_of_nodes_that_stay_outlive_a_change() -> None:
    ctx = context("Neg", "Abs", "Exp")
    del ctx.model.graph.node[1]
    ctx.drop(Touches.TOPOLOGY)
    assert [(op.id, op.node.name) for op in ctx.ops] == [(0, "n0"), (1, "n2")]
    assert set(ctx.tags) == set(ctx.ops)


def test_tags_of_nodes_that_were_copied_outlive_it_too() -> None:
    ctx = context("Neg", "Abs")
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ctx.model.graph.node]
    del ctx.model.graph.node[:]
    ctx.model.graph.node.extend([*copies, helper.make_node("Exp", ["t2"], ["t3"])])
    ctx.drop(Touches.TOPOLOGY)
    assert [op in ctx.tags for op in ctx.ops] == [True, True, False]


def test_values_come_from_the_model_or_from_the_reader() -> None:
    held = numpy_helper.from_array(np.arange(3.0), "held")
    left_out = onnx.TensorProto(name="left_out", data_type=onnx.TensorProto.DOUBLE, dims=[3])
    ctx = Context(onnx.ModelProto())
    np.testing.assert_array_equal(ctx.read_values(held), np.arange(3.0))
    assert ctx.read_values(left_out) is None
    ctx.values = {"left_out": np.ones(3)}.get
    np.testing.assert_array_equal(ctx.read_values(left_out), np.ones(3))
