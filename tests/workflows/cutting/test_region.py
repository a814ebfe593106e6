"""Regions: convexity against brute force on random graphs, and what is copied in."""

from __future__ import annotations

import itertools

import networkx as nx
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import helper

from examples.looped import looped, model, shaped
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.cutting.region import Cutter, NotExtractedError
from onnx_tagger.workflows.splitting.maingraph import main_graph


def cutter(proto: onnx.ModelProto) -> Cutter:
    ctx = read_tags(proto)
    graph = main_graph(ctx)
    return Cutter(graph, list(proto.graph.node), [ctx.tags.get(ctx.ops[index]) for index in graph.ids])


@given(
    st.integers(2, 9).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))),
            st.sets(st.integers(0, n - 1), min_size=1),
        )
    )
)
@settings(max_examples=80, deadline=None)
def test_a_region_is_refused_exactly_if_a_path_leaves_it_and_comes_back(
    drawn: tuple[int, set[tuple[int, int]], set[int]],
) -> None:
    count, pairs, inside = drawn
    edges = {(a, b) for a, b in pairs if a < b}
    nodes = [
        helper.make_node("Sum", ["x", *(f"t{a}" for a, b in sorted(edges) if b == k)], [f"t{k}"], f"t{k}")
        for k in range(count)
    ]
    values = [helper.make_tensor_value_info(name, 1, [1]) for name in ("x", f"t{count - 1}")]
    proto = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(count))
    reach = nx.transitive_closure(graph)
    back = any(
        reach.has_edge(a, out) and reach.has_edge(out, b)
        for a, b in itertools.product(inside, repeat=2)
        for out in set(range(count)) - inside
    )
    ctx = Context(proto)
    found = Cutter(main_graph(ctx), nodes, [None] * count)
    if back:
        with pytest.raises(NotExtractedError):
            found.region(inside)
        left = found.region(inside, "drop")
        assert set(left.nodes) | set(left.dropped) == inside
    else:
        assert set(found.region(inside).nodes) == inside


def test_shape_arithmetic_on_the_way_back_is_copied() -> None:
    region = cutter(shaped()).region({0, 2})
    assert region.copied == {1}
    assert region.outputs == ["a1"]


def test_dropping_leaves_out_what_leads_to_the_way_back() -> None:
    region = cutter(looped()).region({0, 2}, "drop")
    assert (region.nodes, region.dropped, region.inputs) == ([2], (0,), ["a0", "b0"])


def test_a_result_that_nobody_reads_is_an_output() -> None:
    found = cutter(model([("a", "Exp", "a0", ["x"]), ("c", "Abs", "y", ["x"])]))
    assert found.region({0}).outputs == ["a0"]
