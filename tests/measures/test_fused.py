"""Nodes of other modules that do work of a module."""

from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.fused import measure
from onnx_tagger.measures.measure import Measured
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.graph import Walk
from onnx_tagger.model.metadata import Source, Tag


def table_of(tree: ModuleTree, tags: list[Tag | None]) -> ModuleTable:
    ops: list[object] = [object()] * len(tags)
    return ModuleTable.of(tree, tags, measure(Measured(Walk([], [], {}, {}), ops, tags)))  # type: ignore[arg-type]


def test_a_fused_node_counts_at_each_origin_but_its_own_module(tree: ModuleTree, tags: list[Tag | None]) -> None:
    found = {row.path: row.own["fused"] for row in table_of(tree, tags)}
    assert found == {"": 0, "enc": 0, "enc.layers": 0, "enc.layers.0": 1, "enc.layers.1": 1, "head": 0, None: 0}


def test_a_node_that_is_tagged_with_one_of_its_origins(tree: ModuleTree) -> None:
    tag = Tag("enc", "/Net/Enc", Source.ALIGNED, ("enc", "enc.layers.0"))
    found = table_of(tree, [tag])
    assert (found["enc"].own["fused"], found["enc.layers.0"].own["fused"]) == (0, 1)
