"""Nodes assigned to operations: by what an operation is written as, and honestly where that does not tell."""

from __future__ import annotations

import pytest

from onnx_tagger.passes.replay.sequence import NodeLetter, OperationLetter, assigned


def places(nodes: str, operations: str, **allowed: set[int]) -> str:
    """For each node the operations that it may be part of: ``0``, ``0|1`` or ``-``."""
    letters = [
        NodeLetter(node, frozenset(allowed[f"n{index}"]) if f"n{index}" in allowed else None)
        for index, node in enumerate(nodes.split())
    ]
    run = [OperationLetter(name.rstrip("?"), name.endswith("?")) for name in operations.split()]
    return " ".join("|".join(map(str, found)) or "-" for found in assigned(letters, run))


@pytest.mark.parametrize(
    ("nodes", "operations", "expected"),
    [
        ("Relu Tanh", "relu tanh", "0 1"),
        ("MatMul Add Relu", "addmm relu", "0 0 1"),
        ("Gemm Add", "addmm add", "0 1"),
        ("Sigmoid Mul Mul", "silu mul", "0 0 1"),
        ("Div Erf Add Mul Mul Mul", "gelu mul", "0 0 0 0 0 1"),
        ("Transpose MatMul Transpose", "permute? bmm transpose?", "0 1 2"),
        # A residual sum is none of the normalisation's, that somebody has folded away.
        ("Conv Add", "convolution native_batch_norm add", "0 2"),
        ("LayerNormalization ReduceMean", "native_layer_norm mean", "0 1"),
        ("Relu Cos Tanh", "relu tanh", "0 - 1"),
        ("", "relu", ""),
    ],
)
def test_operations_take_the_nodes_that_they_are_written_as(nodes: str, operations: str, expected: str) -> None:
    assert places(nodes, operations) == expected


def test_equally_good_ways_are_all_told() -> None:
    assert places("Add", "add add") == "0|1"
    assert places("Relu Reshape Tanh", "relu tanh") == "0 0|1 1"


def test_a_node_is_no_part_of_what_it_may_not_be() -> None:
    assert places("Add", "add add", n0={1}) == "1"
    assert places("Add Relu", "add relu", n0=set()) == "- 1"


def test_what_is_said_of_a_node_outweighs_what_is_usual() -> None:
    assert places("Relu GRU Tanh", "relu mm sigmoid tanh", n1={1, 2}) == "0 1|2 3"


def test_what_is_done_elsewhere_takes_no_more() -> None:
    nodes = [NodeLetter("Add"), NodeLetter("Add")]
    run = [OperationLetter("addmm", done=("MatMul", "Add")), OperationLetter("add"), OperationLetter("add")]
    assert assigned(nodes, run) == ((1,), (2,))


def test_an_operation_that_nothing_is_known_of_may_be_anything() -> None:
    assert places("Relu Cos Tanh", "relu of_my_own tanh") == "0 1 2"
