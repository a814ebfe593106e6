"""What all fusions do: tags and origins, bodies, constants that nobody reads any more, and random graphs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import helper

from examples import fusible as f
from examples.fusing_nets import random_net
from onnx_tagger.model.metadata import Source


def test_the_module_around_all_parts_and_each_as_an_origin() -> None:
    b = f.Builder()
    x = b.input(3, 4)
    b.module = "block.fc"
    h = f.gemm(b, x, 4, 8)
    b.module = "block.act"
    y = f.gelu_erf(b, h)
    modules = ["block.fc", "block.bias", *b.modules[2:]]
    ctx = f.fused(b.model(y), modules=modules)
    found = {op.node.op_type: ctx.tags[op] for op in ctx.ops}
    assert found["Gemm"].module == "block"
    assert found["Gemm"].origins == ("block.bias", "block.fc")
    assert (found["Gelu"].module, found["Gelu"].origins) == ("block.act", ())
    assert {tag.source for tag in found.values()} == {Source.ALIGNED}


def test_what_is_not_fused_keeps_its_tag() -> None:
    b = f.Builder()
    b.module = "a"
    x = b("Relu", b.input(3, 4))
    b.module = "b"
    y = f.gelu_erf(b, x)
    b.module = "c"
    ctx = f.fused(b.model(b("Neg", y)), modules=b.modules)
    assert [(op.node.op_type, ctx.tags[op].module, ctx.tags[op].source) for op in ctx.ops] == [
        ("Relu", "a", Source.EXPORTED),
        ("Gelu", "b", Source.ALIGNED),
        ("Neg", "c", Source.EXPORTED),
    ]


def test_a_body_reads_an_intermediate() -> None:
    b = f.Builder()
    x = b.input(3, 4)
    y = f.gelu_erf(b, x)
    inner = helper.make_graph(
        [helper.make_node("Neg", ["t1"], ["i"])], "b", [], [helper.make_tensor_value_info("i", 1, None)]
    )
    other = helper.make_graph(
        [helper.make_node("Neg", [x], ["j"])], "b", [], [helper.make_tensor_value_info("j", 1, None)]
    )
    z = b("If", b.const(True, bool), then_branch=inner, else_branch=other)
    before = b.model(b("Add", y, z))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_formula_in_a_body() -> None:
    inside = f.Builder()
    y = f.gelu_erf(inside, "in0")
    branch = helper.make_graph(inside.nodes, "b", [], [helper.make_tensor_value_info(y, 1, None)], inside.stored)
    other = helper.make_graph(
        [helper.make_node("Neg", ["in0"], ["j"])], "b", [], [helper.make_tensor_value_info("j", 1, None)]
    )
    b = f.Builder()
    b.input(3, 4)
    flag = helper.make_tensor("flag", onnx.TensorProto.BOOL, [], [True])
    b.stored.append(flag)
    before = b.model(b("If", "flag", then_branch=branch, else_branch=other))
    ctx = f.fused(before)
    bodies = {each.name: [node.op_type for node in each.g.node] for each in ctx.model.graph.node[0].attribute}
    assert bodies == {"then_branch": ["Gelu"], "else_branch": ["Neg"]}
    assert f.agree(before, ctx.model)


def test_a_weight_with_the_name_of_another_tensor() -> None:
    b = f.Builder()
    y = f.conv_bn(b, b.input(1, 4, 5, 5), 4)
    before = b.model(b("Add", y, "t1/weight"))
    before.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1, np.float32), "t1/weight"))
    ctx = f.fused(before)
    assert f.kinds(ctx.model) == ["Conv", "Add"]
    assert f.agree(before, ctx.model)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_random_graphs_compute_the_same(seed: int) -> None:
    made = random_net(seed)
    ctx = f.fused(made.model, *made.passes, modules=made.modules)
    assert f.agree(made.model, ctx.model)
    assert {(each.by, each.output) for each in ctx.report.fused} == made.expected


@pytest.mark.parametrize("name", f.NAMES)
def test_nothing_to_fuse(name: str) -> None:
    b = f.Builder()
    before = b.model(b("Relu", b.input(3, 4)))
    ctx = f.fused(before, name)
    assert ctx.model.SerializeToString() == before.SerializeToString()
    assert not ctx.report.fused
