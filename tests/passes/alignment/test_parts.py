"""Parts: constants, sizes and data of nodes, and numbers that are equal where the same is done of the same."""

from __future__ import annotations

from collections.abc import Hashable

from onnx_tagger.passes.alignment.parts import Part, PartNode


def node(text: str, *, opaque: bool = False) -> PartNode:
    head, _, made = text.partition("->")
    operator, *inputs = head.split()
    return PartNode(operator, tuple(inputs), tuple(made.split()), {}, opaque=opaque)


def test_what_is_made_of_constants_alone_is_one() -> None:
    part = Part(
        [node("Neg w -> a"), node("Constant -> c"), node("Add a c -> b"), node("Add b x -> y")], stored=frozenset("w")
    )
    assert part.constants == {0, 1, 2}
    assert [part.constant(name) for name in "wbyx"] == [True, True, False, False]


def test_what_reads_tensors_in_its_bodies_is_no_constant() -> None:
    assert Part([node("Loop w w -> a", opaque=True)], stored=frozenset("w")).constants == set()


def test_data_are_no_sizes_and_no_constants() -> None:
    reshape = node("Reshape x n -> y")
    assert Part([reshape]).data(reshape) == [0]
    product = node("MatMul w x -> y")
    assert Part([product], stored=frozenset("w")).data(product) == [1]


def test_numbers_know_order_commuted_inputs_and_conversions() -> None:
    given: dict[Hashable, int] = {}
    known = {"x": "x", "y": "y"}
    one = Part([node("Add x y -> a"), node("Sub x y -> b"), node("Cast x -> c"), node("Relu c -> d")])
    other = Part([node("Add y x -> 1"), node("Sub y x -> 2"), node("Relu x -> 3")])
    sum_, difference, _, relu = one.numbers(known, given)
    assert [sum_ == (found := other.numbers(known, given))[0], difference == found[1], relu == found[2]] == [
        True,
        False,
        True,
    ]
