"""What a node reads and what an operation read: which of them contradict each other."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.replay.dependence import Dependence, known_before

TRACE = [
    Operation("q", "linear"),
    Operation("k", "linear"),
    Operation("k", "view", view=True, reads=(1,)),
    Operation("v", "linear"),
    Operation("attention", "matmul", reads=(0, 2)),
    Operation("attention", "matmul", reads=(4, 3)),
]


@pytest.mark.parametrize(
    ("place", "before", "contradicts"),
    [(2, {1}, False), (2, {0}, True), (2, {0, 1}, True), (4, {0, 1}, False), (5, {0, 1, 3}, False), (4, {3}, True),
     (1, {1}, False), (5, set(), False)],
)  # fmt: skip
def test_operations_that_know_nothing_of_what_is_read(place: int, before: set[int], contradicts: bool) -> None:
    assert Dependence(TRACE).contradicts(place, frozenset(before)) is contradicts


def test_a_run_without_reads_says_nothing() -> None:
    assert not Dependence([Operation("a", "mm"), Operation("b", "mm")]).contradicts(1, frozenset({0}))


def test_what_is_far_away_is_not_looked_for() -> None:
    long = [Operation("a", "relu", reads=(at - 1,) if at else ()) for at in range(2000)]
    assert not Dependence([Operation("b", "mm"), *long]).contradicts(1999, frozenset({0}))


def context(*nodes: tuple[str, str, str]) -> Context:
    made = [helper.make_node(kind, reads.split(), [name]) for name, kind, reads in nodes]
    return Context(onnx.helper.make_model(helper.make_graph(made, "g", [], [])))


def test_results_reach_nodes_through_unknown_ones() -> None:
    ctx = context(("q", "MatMul", "x"), ("k", "MatMul", "x"), ("t", "Transpose", "k"), ("s", "MatMul", "q t"))
    found = known_before(ctx.get(DataFlow), {0: 10, 1: 11}, [False] * 4)
    assert [found[at] for at in range(4)] == [frozenset(), frozenset(), frozenset({11}), frozenset({10, 11})]


def test_sizes_carry_nothing() -> None:
    ctx = context(("q", "MatMul", "x"), ("n", "Shape", "q"), ("r", "Reshape", "y n"))
    assert known_before(ctx.get(DataFlow), {0: 10}, [False, True, False])[2] == frozenset()


def test_of_a_node_that_reads_very_much_nothing_is_said() -> None:
    makers = [(f"a{at}", "MatMul", "x") for at in range(9)]
    ctx = context(*makers, ("c", "Concat", " ".join(name for name, _, _ in makers)), ("d", "Relu", "c"))
    found = known_before(ctx.get(DataFlow), {at: at for at in range(9)}, [False] * 11)
    assert not {9, 10} & found.keys()


def test_equal_calls_that_were_merged_count_as_one() -> None:
    trace = [Operation("a", "mm"), Operation("a", "mm"), Operation("b", "relu", reads=(1,))]
    assert Dependence(trace).contradicts(2, frozenset({0}))
    assert not Dependence(trace, [0, 0, 1]).contradicts(2, frozenset({0}))
