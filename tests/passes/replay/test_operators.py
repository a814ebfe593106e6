"""What ATen operations are written as: names of the standard, ways that hold together, in-place forms."""

from __future__ import annotations

import onnx
import pytest

from onnx_tagger.passes.replay.operators import _WAYS, MOVES, composite, ways_of, writes


def test_operators_are_those_of_the_standard() -> None:
    contrib = (
        "BiasGelu EmbedLayerNormalization FastGelu FusedConv FusedGemm FusedMatMul GroupQueryAttention "
        "MultiHeadAttention QuickGelu SimplifiedLayerNormalization SkipLayerNormalization"
    )
    known = {schema.name for schema in onnx.defs.get_all_schemas()} | {*contrib.split(), "Swish"}
    unknown = {operator for name in _WAYS for operator in writes(name)} - known
    assert not unknown
    assert known >= MOVES
    assert all(way.holds(dict.fromkeys(way.always, 1)) for name in _WAYS for way in ways_of(name))


@pytest.mark.parametrize(
    ("operation", "operators"),
    [
        ("relu", {"Relu"}),
        ("tanh_", {"Tanh"}),
        ("_softmax", {"Softmax"}),
        ("silu", {"Sigmoid", "Mul", "Swish"}),
        ("of_my_own", set()),
    ],
)
def test_an_operation_is_listed_or_known_by_its_name(operation: str, operators: set[str]) -> None:
    assert writes(operation) == operators


def test_a_way_holds_no_more_nodes_than_it_has() -> None:
    (way,) = ways_of("glu")
    assert way.holds({"Sigmoid": 1, "Mul": 1})
    assert not way.holds({"Mul": 2})
    assert not way.holds({"Relu": 1})


def test_what_no_operation_alone_is_written_as_is_composite() -> None:
    assert composite("SkipSimplifiedLayerNormalization")
    assert not composite("LayerNormalization")
