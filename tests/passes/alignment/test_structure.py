"""Structure: tensors of two graphs that are the same though no name says so, forwards, backwards and by weights."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import pytest
from hypothesis import given, strategies as st

from onnx_tagger.passes.alignment.parts import Part, PartNode
from onnx_tagger.passes.alignment.structure import Structure


def part(text: str, weights: Mapping[str, Hashable] | None = None, outputs: str = "out") -> Part:
    """Nodes of lines such as ``Op x w -> y``; what begins with ``w`` or ``k`` is stored, `weights` tells of some."""
    told = weights or {}
    nodes, names = [], set()
    for line in filter(None, map(str.strip, text.replace(";", "\n").split("\n"))):
        head, _, made = line.partition("->")
        operator, *inputs = head.split()
        names.update(inputs)
        keys = {slot: frozenset({told[name]}) for slot, name in enumerate(inputs) if name in told}
        nodes.append(PartNode(operator, tuple(inputs), tuple(made.split()), keys))
    return Part(nodes, frozenset(outputs.split()), frozenset(name for name in names if name[0] in "wk"))


def same(new: str, saved: str, known: Mapping[str, str] | None = None, **weights: Hashable) -> dict[str, str]:
    known = {"in": "in"} if known is None else known
    return Structure(part(new, weights), part(saved, weights), known).tensors()


def test_the_same_of_the_same_is_followed_forwards() -> None:
    assert same("Relu in -> 1; Exp 1 -> 2", "Relu in -> a; Exp a -> b") == {"1": "a", "2": "b"}


def test_another_operator_ends_that() -> None:
    assert same("Fused in -> 1; Exp 1 -> 2", "Relu in -> a; Exp a -> b") == {}


def test_from_what_is_known_nodes_are_followed_backwards() -> None:
    found = same("Fused in -> 1; Exp 1 -> 2; Neg 2 -> o", "A in -> a; B a -> b; Exp b -> c; Neg c -> o", {"o": "o"})
    assert found == {"2": "c", "1": "b"}


def test_a_weight_tells_its_reader_and_what_that_reads() -> None:
    saved = "A in -> a; B a -> b; MatMul b w1 -> c; Relu c -> d"
    new = "Fused in -> 1; MatMul 1 w1 -> 2; Relu 2 -> 3"
    assert same(new, saved, w1="layer.weight") == {"1": "b", "2": "c", "3": "d"}


def test_a_fused_reader_of_a_weight_reads_the_same_but_makes_more() -> None:
    saved = "A in -> a; Conv a w1 -> c; Relu c -> d; Exp d -> e"
    new = "X in -> 1; my.domain::FusedConv 1 w1 -> 2; Exp 2 -> 3"
    assert same(new, saved, w1="layer.weight") == {"1": "a"}


def test_two_readers_of_one_weight_are_told_by_what_else_they_read_before_their_order() -> None:
    saved = "A in -> a; MatMul a w1 -> b; MatMul x w1 -> c"
    new = "Reshape x k1 -> 1; Gemm 1 w1 -> 2; Fused in -> 3; Gemm 3 w1 -> 4"
    assert same(new, saved, {"in": "in", "x": "x"}, w1="layer.weight") == {"3": "a"}


def test_a_weight_at_another_input_tells_nothing_of_the_others() -> None:
    saved = "A in -> a; Add a in -> s; LayerNormalization s w1 -> c"
    new = "A in -> 1; com.microsoft::SkipLayerNormalization 1 in w1 -> 2"
    assert same(new, saved, w1="norm.weight") == {"1": "a"}


def test_different_weights_tell_alike_nodes_apart() -> None:
    saved = "MatMul in w1 -> q; MatMul in w2 -> k; MatMul in w3 -> v"
    new = "MatMul in w3 -> 1; MatMul in w1 -> 2"
    assert same(new, saved, w1="q.weight", w2="k.weight", w3="v.weight") == {"1": "v", "2": "q"}


def test_nodes_with_different_weights_are_not_the_same() -> None:
    assert same("MatMul in w1 -> 1", "MatMul in w2 -> a", w1="one", w2="another") == {}


def test_alike_nodes_without_weights_are_told_by_their_order() -> None:
    assert same("Relu in -> 1; Relu in -> 2", "Relu in -> a; Relu in -> b") == {"1": "a", "2": "b"}


def test_of_alike_nodes_of_which_some_are_gone_one_stands_for_all() -> None:
    assert same("Relu in -> 1; Exp 1 -> 2", "Relu in -> a; Relu in -> b; Exp b -> c") == {"1": "b", "2": "c"}


def test_sizes_do_not_part_what_is_the_same() -> None:
    saved = "Shape in -> n; Gather n k1 -> m; Reshape in m -> a; Exp a -> b"
    assert same("Reshape in k2 -> 1; Exp 1 -> 2", saved) == {"1": "a", "2": "b"}


def test_commuted_inputs_are_told_by_what_makes_them() -> None:
    saved = "Relu in -> a; Softmax in -> b; Add a b -> s; Neg s -> o"
    new = "X in -> 0; Softmax 0 -> 1; Relu 0 -> 2; Add 1 2 -> 3; Neg 3 -> o"
    assert same(new, saved, {"in": "in", "o": "o"}) == {"3": "s", "1": "b", "2": "a"}


def test_nodes_that_kept_different_names_are_not_the_same() -> None:
    saved = Part([PartNode("Relu", ("in",), ("a",), {}, "first"), PartNode("Neg", ("a",), ("b",), {}, "second")])
    for name, found in (("first", {"1": "a"}), ("", {"1": "a"}), ("new", {"1": "a"}), ("second", {"1": "a"})):
        new = Part([PartNode("Relu", ("in",), ("1",), {}, name)])
        assert Structure(new, saved, {"in": "in"}).tensors() == found
    other = Part([*saved.nodes, PartNode("Relu", ("b",), ("c",), {}, "third")])
    assert Structure(Part([PartNode("Relu", ("in",), ("1",), {}, "third")]), other, {"in": "in"}).tensors() == {}


def test_a_sum_of_two_unknown_alike_tells_nothing_of_them() -> None:
    saved = "A in -> a; A in -> b; Add a b -> o"
    assert same("X in -> 1; X in -> 2; Add 1 2 -> o", saved, {"o": "o"}) == {}


def test_what_a_tool_has_only_stored_in_another_way_is_looked_behind() -> None:
    saved = "A in -> a; Relu a -> b; Exp b -> o"
    new = "X in -> 1; QuantizeLinear 1 k -> 2; DequantizeLinear 2 k -> 3; Relu 3 -> 4; Exp 4 -> o"
    assert same(new, saved, {"o": "o"}) == {"4": "b", "1": "a"}


def test_a_name_that_contradicts_a_move_is_corrected() -> None:
    """The scale is worked into what makes ``a``, which keeps its name: its reader makes ``o`` all the same."""
    saved = "MatMul in w1 -> a; Mul a w2 -> b; Transpose b -> o"
    new = "Gemm in w9 -> 1; Reshape 1 k1 -> a; Transpose a -> o"
    assert same(new, saved, {"in": "in", "a": "a", "o": "o"})["a"] == "b"


def test_what_is_known_to_be_another_tensor_is_not_the_one_of_its_name() -> None:
    new, saved = part("Relu in -> a; Exp a -> b"), part("Relu in -> a; Exp a -> b")
    assert Structure(new, saved, {"in": "in"}).tensors() == {"a": "a", "b": "b"}
    assert Structure(new, saved, {"in": "in"}, {"a"}).tensors() == {"b": "b"}


def test_a_node_that_computes_with_constants_may_have_taken_work_in_itself() -> None:
    saved = "MatMul in w1 -> a; Mul a k1 -> b; MatMul b w2 -> o"
    new = "MatMul in w1 -> a; MatMul a w3 -> o"
    assert "a" not in same(new, saved, {"in": "in", "a": "a", "o": "o"})


@given(st.data())
def test_an_unchanged_graph_of_other_names_is_found_whole(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    lines = []
    for i in range(count):
        reads = data.draw(st.lists(st.sampled_from(["in", *(f"t{j}" for j in range(i))]), min_size=1, max_size=2))
        lines.append(f"{data.draw(st.sampled_from(['Relu', 'Sub', 'Add']))} {' '.join(reads)} -> t{i}")
    saved = part("\n".join(lines))
    renamed = part("\n".join(lines).replace("t", "n"))
    numbers = saved.numbers({"in": "in"}, {})
    found = Structure(renamed, saved, {"in": "in"}).tensors()
    # Copies may stand for each other; all others are exactly themselves.
    assert {name: numbers[int(known[1:])] for name, known in found.items()} == {
        f"n{i}": number for i, number in enumerate(numbers)
    }


@pytest.mark.parametrize("length", [500])
def test_long_chains_are_followed_to_their_ends(length: int) -> None:
    saved = "\n".join(["Relu in -> t0", *(f"Relu t{i} -> t{i + 1}" for i in range(length))])
    assert len(same(saved.replace(" t", " n"), saved)) == length + 1
