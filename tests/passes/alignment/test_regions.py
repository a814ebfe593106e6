"""Regions: what is connected by tensors that only the new graph has, against networkx; what is placed by itself."""

from __future__ import annotations

import networkx as nx
import onnx
import pytest
from hypothesis import given, strategies as st
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.alignment.correspondence import Correspondence
from onnx_tagger.passes.alignment.regions import MOST_ORIGINS, Regions
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.analyses.saved import SavedIndex
from onnx_tagger.passes.base import Context

Line = tuple[str, str, str]


def model(lines: list[Line]) -> onnx.ModelProto:
    """Make a model of (operator, inputs, outputs)."""
    nodes = [helper.make_node(op, inputs.split(), outputs.split()) for op, inputs, outputs in lines]
    values = [helper.make_tensor_value_info("in", 1, [1])]
    return helper.make_model(helper.make_graph(nodes, "g", values, []))


def regions_of(saved: list[Line], changed: list[Line], paths: list[str]) -> Regions:
    """Lay a changed graph beside a saved one, whose nodes have these modules."""
    tree = HierarchyMap.from_rows([ModuleRow(path, "M") for path in sorted({"", *paths})])
    graph = SavedGraph.of(walk(model(saved)), [tree.tag(path, Source.EXPORTED) for path in paths])
    ctx, index = Context(model(changed), tree), SavedIndex(graph)
    return Regions(ctx, tree, Correspondence(ctx, tree, index, ctx.get(DataFlow), {}, {}), "enclosing")


@given(st.data())
def test_regions_are_what_new_tensors_connect(data: st.DataObject) -> None:
    """Of tensors that are saved ones nothing is connected, whoever makes and reads them."""
    count = data.draw(st.integers(1, 8))
    known = [data.draw(st.booleans()) for _ in range(count)]
    names = [f"t{i}" if known[i] else f"new{i}" for i in range(count)]
    reads = [data.draw(st.lists(st.integers(0, i - 1), max_size=2)) if i else [] for i in range(count)]
    changed = [("Op", " ".join(["in", *(names[j] for j in reads[i])]), names[i]) for i in range(count)]
    saved = [("Op", "in", f"t{i}") for i in range(count)]
    among = [i for i in range(count) if data.draw(st.booleans())]
    links = nx.Graph()
    links.add_nodes_from(among)
    links.add_edges_from((j, i) for i in among for j in reads[i] if j in among and not known[j])
    found = list(regions_of(saved, changed, [""] * count).regions(among))
    assert found == [sorted(group) for group in nx.connected_components(links)]


def test_a_region_keeps_the_order_that_it_is_given_in() -> None:
    changed = [("Op", "in", "new0"), ("Op", "new0", "new1"), ("Op", "new1", "t")]
    assert list(regions_of([("Op", "in", "t")], changed, [""]).regions([2, 0, 1])) == [[2, 0, 1]]


@pytest.mark.parametrize("op", ["Fused", "Exp"])
def test_an_op_is_placed_by_itself_unless_it_does_only_part_of_what_lies_behind(op: str) -> None:
    """One of the operator of a saved node there may be that node, and the other done elsewhere."""
    found = regions_of([("Abs", "in", "h"), ("Exp", "h", "t")], [(op, "in", "t")], ["a", "b"])
    assert found.place_alone(0) == (op == "Fused")
    tags = [tag.modules for tag in found.tags.values()]
    assert tags == ([("a", "b")] if op == "Fused" else [])


def test_what_does_the_work_of_too_many_modules_has_no_tag() -> None:
    for count in (MOST_ORIGINS, MOST_ORIGINS + 1):
        saved = [("Abs", f"h{i}" if i else "in", f"h{i + 1}") for i in range(count)]
        found = regions_of(saved, [("Fused", "in", f"h{count}")], [f"m{i}" for i in range(count)])
        assert found.place_alone(0) == (count == MOST_ORIGINS)
