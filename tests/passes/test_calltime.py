"""What the time at which modules worked says of nodes that no carrier speaks for."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from onnx import helper

import onnx_tagger as ot
from onnx_tagger.hierarchy import HierarchyMap, Operation
from onnx_tagger.metadata import Source
from onnx_tagger.naming import ModuleRow
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.calltime import CallTimes, Window
from onnx_tagger.passes.manager import PassManager

PATHS = ("block", "block.up", "block.act", "block.down", "head")
# Net: block(up, act, down, then an addition of its own), head.
RUNS = (("block.up", 1, 1), ("block.act", 1, 0), ("block.down", 1, 0), ("block", 1, 2), ("head", 3, 0))


def trace(*runs: tuple[str, int, int]) -> tuple[Operation, ...]:
    """Operations that nothing is known of but whose they are, and which are views."""
    return tuple(
        Operation(module, "unheard_of", view)
        for module, operations, views in runs
        for view in [False] * operations + [True] * views
    )


@pytest.fixture
def tree() -> HierarchyMap:
    rows = [ModuleRow("", "Net"), *(ModuleRow(path, path.rpartition(".")[2].title()) for path in PATHS)]
    return replace(HierarchyMap.from_rows(rows), trace=trace(*RUNS))


def inherited(tree: HierarchyMap, *ops: tuple[str, str | None]) -> list[str]:
    """The modules of a chain of ops of which some are known."""
    names = ["x", *(f"h{i}" for i in range(1, len(ops))), "y"]
    nodes = [helper.make_node(kind, [names[i]], [names[i + 1]]) for i, (kind, _) in enumerate(ops)]
    x, y = (helper.make_tensor_value_info(name, 1, None) for name in "xy")
    ctx = Context(helper.make_model(helper.make_graph(nodes, "g", [x], [y])), tree)
    for op, (_, module) in zip(ctx.ops, ops, strict=True):
        if module is not None:
            ctx.tags[op] = tree.tag(module, Source.ALIGNED)
    PassManager([ot.Inherit()], verify=True).run_in(ctx)
    return [ctx.tags[op].module for op in ctx.ops]


def test_spans_are_first_and_last_runs(tree: HierarchyMap) -> None:
    times = CallTimes(replace(tree, trace=trace(*RUNS, ("block.up", 1, 0))))
    assert times.span("block.up") == (0, 5)
    assert times.span("block.act") == (1, 1)
    assert times.span("") == (-inf, inf)


def test_the_one_module_that_worked_in_between_did_it(tree: HierarchyMap) -> None:
    assert inherited(tree, ("Neg", "block.up"), ("Erf", None), ("Neg", "block.down"))[1] == "block.act"


def test_a_move_may_be_of_any_module_that_looked_at_a_tensor(tree: HierarchyMap) -> None:
    assert inherited(tree, ("Neg", "block.up"), ("Reshape", None), ("Neg", "block.down"))[1] == "block"


def test_what_a_module_did_after_its_children_is_its_own(tree: HierarchyMap) -> None:
    assert inherited(tree, ("Neg", "block.down"), ("Add", None), ("Neg", "head"))[1] == ""
    only = replace(tree, trace=trace(*RUNS[:4], ("head", 1, 0)))
    assert inherited(only, ("Neg", "block.down"), ("Add", None), ("Neg", "head"))[1] == "block"


def test_a_module_that_has_all_its_nodes_did_nothing_else(tree: HierarchyMap) -> None:
    assert Window(tree, {}).module(0, 3, view=False) == "block"
    assert Window(tree, {"block.act": 1}).module(0, 3, view=False) == "block.down"
    assert Window(tree, {}).module(0, 2, view=False) == "block.act"
    assert Window(tree, {}).module(0, 1, view=False) is None


def test_the_end_of_the_run_bounds_what_nothing_reads(tree: HierarchyMap) -> None:
    assert Window(tree, {}).module(3, inf, view=False) == "head"


def test_a_map_without_runs_decides_nothing(tree: HierarchyMap) -> None:
    assert Window(replace(tree, trace=()), {}).module(0, 3, view=False) is None
