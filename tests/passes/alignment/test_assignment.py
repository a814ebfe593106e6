"""Dealing: whose work of the saved graph each node of a region does."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_tagger.passes.alignment.assignment import Kind, NewNode, OldNode, assign
from onnx_tagger.passes.replay.operators import MOVES


def old(*lines: str) -> list[OldNode]:
    """Nodes such as ``MatMul 0 2 w:key``: places that are read, and weights."""
    return [OldNode(operator, _kind(operator), reads, weights) for operator, reads, weights in map(_parsed, lines)]


def new(count: int, *lines: str, makes: dict[int, int] | None = None) -> list[NewNode]:
    made = makes or {}
    return [
        NewNode(
            operator,
            _kind(operator),
            reads,
            weights,
            (1 << count) - 1,
            frozenset({made[place]} if place in made else ()),
            converts=operator == "QuantizeLinear",
            parts=operator == "Split",
        )
        for place, (operator, reads, weights) in enumerate(map(_parsed, lines))
    ]


def _parsed(line: str) -> tuple[str, list[int], frozenset[str]]:
    operator, *rest = line.split()
    weights = frozenset(word.removeprefix("w:") for word in rest if word.startswith("w:"))
    return operator, [int(word) for word in rest if not word.startswith("w:")], weights


def _kind(operator: str) -> Kind:
    if operator in ("Constant", "DequantizeLinear", "QuantizeLinear"):
        return Kind.IDLE
    return Kind.MOVE if operator in MOVES else Kind.WORK


def assigned(news: Sequence[NewNode], olds: Sequence[OldNode]) -> list[set[int]]:
    return [set(does) for does in assign(news, olds)]


LINEAR = old("MatMul w:a", "Add 0 w:b", "Relu 1")


def test_a_fusion_does_all_that_is_left() -> None:
    assert assigned(new(3, "my::FusedGemm w:a w:b", makes={0: 2}), LINEAR) == [{0, 1, 2}]


def test_moves_around_a_fusion_are_of_its_first_and_of_its_last_work() -> None:
    found = assigned(new(3, "Reshape", "Gemm 0 w:a w:b", "Reshape 1", "Relu 2", makes={3: 2}), LINEAR)
    assert found == [{0}, {0, 1}, {1}, {2}]


def test_a_converter_of_a_fusion_s_weight_is_of_all_its_work() -> None:
    news = new(3, "DequantizeLinear", "Gemm 0 w:a w:b", "Relu 1", makes={2: 2})
    news[0].idle = True
    assert assigned(news, LINEAR) == [{0, 1}, {0, 1}, {2}]


def test_an_old_move_of_the_same_operator_is_found_on_its_side() -> None:
    olds = old("Reshape", "MatMul 0 w:a", "Relu 1")
    found = assigned(new(3, "Reshape", "my::FusedMatMul 0 w:a", "Reshape 1", makes={2: 2}), olds)
    assert found == [{0}, {1, 2}, {2}]


def test_what_lies_between_two_known_ones_goes_to_the_one_that_may_do_more() -> None:
    olds = old("MatMul w:a", "Mul 0", "MatMul 1 w:b")
    assert assigned(new(3, "MatMul w:a", "my::FusedMatMul 0 w:b"), olds) == [{0}, {1, 2}]


def test_branches_do_not_get_each_other_s_work() -> None:
    olds = old("MatMul w:a", "Mul 0", "MatMul w:b", "Mul 2", "Add 1 3")
    news = new(5, "my::Scaled w:a", "my::Scaled w:b", "Add 0 1", makes={2: 4})
    assert assigned(news, olds) == [{0, 1}, {2, 3}, {4}]


def test_several_projections_in_one_and_their_parting() -> None:
    olds = old("MatMul w:q", "MatMul w:k", "MatMul w:v", "Relu 0", "Exp 1", "Neg 2")
    news = new(6, "MatMul w:all", "Split 0", "Relu 1", "Exp 1", "Neg 1", makes={2: 3, 3: 4, 4: 5})
    assert assigned(news, olds) == [{0, 1, 2}, {0, 1, 2}, {3}, {4}, {5}]


def test_an_old_node_may_be_done_by_two() -> None:
    olds = old("Gemm w:a w:b", "Relu 0")
    assert assigned(new(2, "MatMul w:a", "my::BiasRelu 0 w:b", makes={1: 1}), olds) == [{0}, {0, 1}]


def test_a_converter_behind_a_fusion_holds_the_last_that_did() -> None:
    assert assigned(new(3, "my::FusedGemm w:a w:b", "QuantizeLinear 0", makes={1: 2}), LINEAR) == [{0, 1, 2}, {2}]


def test_a_quantiser_behind_a_plain_operator_does_the_clamp() -> None:
    assert assigned(new(3, "Gemm w:a w:b", "QuantizeLinear 0"), LINEAR) == [{0, 1}, {2}]


def test_an_operator_on_small_integers_does_the_clamp_and_its_reader_does_not() -> None:
    olds = old("Add", "Relu 0", "MatMul 1 w:a")
    assert assigned(new(3, "ms::QLinearAdd", "ms::QGemm 0 w:a"), olds) == [{0, 1}, {2}]


def test_a_weight_that_tells_more_counts_for_more() -> None:
    """The bias of two calls is stored twice by a tool; the weight still tells them apart."""
    olds = old("MatMul w:a w:b", "Exp 0", "MatMul 1 w:a w:b")
    news = new(3, "Q w:a w:b", "Exp 0", "Q 1 w:a", makes={1: 1})
    assert assigned(news, olds) == [{0}, {1}, {2}]


def test_constants_and_moves_count_only_if_nothing_computes() -> None:
    olds = old("Constant", "Reshape 0", "Relu 1")
    assert assigned(new(3, "my::Fused", makes={0: 2}), olds) == [{2}]
    assert assigned(new(2, "my::Fused", makes={0: 1}), olds[:2]) == [{1}]


def test_padding_goes_to_what_pads_behind_it_or_to_nobody() -> None:
    olds = old("Conv w:a", "Pad 0", "Conv 1 w:b")
    news = new(3, "Conv w:a", "Conv 0 w:b", makes={1: 2})
    assert assigned(news, olds) == [{0}, {2}]
    news = new(3, "Conv w:a", "Conv 0 w:b", makes={1: 2})
    news[0].pads = news[1].pads = True
    assert assigned(news, olds) == [{0}, {1, 2}]


def test_moves_are_not_taken_for_what_works_out_sizes() -> None:
    olds = [OldNode("Reshape", Kind.IDLE, [], frozenset()), *old("Relu", "Exp 1")]
    assert assigned(new(3, "Relu", "Reshape 0", "my::Exp 1", makes={2: 2}), olds) == [{1}, {2}, {2}]


def test_depth_tells_which_of_several_alike_a_node_is() -> None:
    """A short and a long branch into one sum, written in another order."""
    olds = old("Conv", "Conv 0", "Conv 1", "Conv", "Add 2 3")
    news = new(5, "Conv", "Conv", "Conv 1", "Conv 2", "Add 3 0", makes={4: 4})
    assert assigned(news, olds) == [{3}, {0}, {1}, {2}, {4}]
