"""Stages by modules: what goes where, on random graphs too."""

from __future__ import annotations

import random

import pytest

from examples.staged import TREE, net
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.splitting.maingraph import MainGraph, main_graph
from onnx_tagger.workflows.splitting.staging import (
    Staging,
    parse_stages,
    staged_by_cuts,
    staged_by_modules,
    wanted_stages,
)


def staged(text: str) -> tuple[MainGraph, Staging, Context]:
    ctx = read_tags(net(), TREE)
    graph = main_graph(ctx)
    tags = [ctx.tags.get(ctx.ops[index]) for index in graph.ids]
    return graph, staged_by_modules(graph, tags, parse_stages(text), ModuleTree(TREE)), ctx


def names(ctx: Context, staging: Staging) -> list[list[str]]:
    return [[ctx.model.graph.node[index].name for index in stage] for stage in staging.stages]


def test_the_first_stage_that_names_a_module_has_it() -> None:
    found = wanted_stages(["embed", "blocks.*", "**"], ModuleTree(TREE))
    assert found["embed"] == 0
    assert found["blocks.1"] == 1
    assert found["head"] == found[""] == 2


def test_several_patterns_of_a_stage_are_parted_by_commas() -> None:
    found = wanted_stages(["embed, {blocks.0,blocks.1}", "head"], ModuleTree(TREE))
    assert found == {"embed": 0, "blocks.0": 0, "blocks.1": 0, "head": 1}


def test_nodes_of_no_stage_are_where_what_they_read_is_made() -> None:
    _, staging, ctx = staged("embed | blocks.1")
    assert staging.unasked == [4, 5]
    assert names(ctx, staging)[1] == ["scale", "m1", "a1", "b1", "m2", "a2", "b2", "skip", "y"]


@pytest.mark.parametrize("text", ["embed, blocks.2 | head", "blocks.1 | blocks.0, **", "late | embed | blocks.1 | **"])
def test_no_node_reads_what_a_later_stage_makes(text: str) -> None:
    graph, staging, _ = staged(text)
    stage = {index: place for place, nodes in enumerate(staging.stages) for index in nodes}
    for index, place in stage.items():
        assert all(stage[maker] <= place or maker in graph.constant for maker in graph.makers(index))


@pytest.mark.parametrize("seed", range(5))
def test_cuts_part_all_nodes_but_constants_once(seed: int) -> None:
    graph = main_graph(read_tags(net(), TREE))
    live = len(graph.order) - len(graph.constant)
    cuts = sorted(random.Random(seed).sample(range(1, live), 3))
    staging = staged_by_cuts(graph, cuts)
    members = [index for nodes in staging.stages for index in nodes if index not in graph.constant]
    assert sorted(members) == sorted(set(range(len(graph.ids))) - graph.constant)
