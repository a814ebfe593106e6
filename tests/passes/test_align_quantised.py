"""Align behind onnxruntime's quantiser and optimiser: clamps that a quantiser takes in, weights in small integers."""

from __future__ import annotations

import pytest

from examples.lines import align

CLAMPED = "{fc}: {op} in w -> h @a.x \n act: {clamp} h -> r @a.y \n out: Neg r -> y @b.z"


@pytest.mark.parametrize("clamp", ["Relu", "Clip"])
@pytest.mark.parametrize("op", ["MatMul", "Add", "BatchNormalization"])
def test_a_quantiser_does_the_clamp_that_is_gone(op: str, clamp: str) -> None:
    """The optimiser drops the clamp and gives its tensor's name to what comes before."""
    saved = CLAMPED.format(fc="fc", op=op, clamp=clamp)
    changed = f"""
        fc: {op} in w -> r
        q: QuantizeLinear r s z -> rq
        d: DequantizeLinear rq s z -> rd
        out: Neg rd -> y
    """
    assert align(saved, changed, stored="w s z") == {
        "fc": ("a.x", "aligned", ()),
        "q": ("a.y", "aligned", ()),
        "d": ("a.y", "aligned", ()),
        "out": ("b.z", "aligned", ()),
    }


def test_a_quantiser_called_after_a_clamp_does_it_where_the_tensor_before_has_other_readers() -> None:
    changed = """
        fc: MatMul in w -> h
        other: Exp h -> e
        h_Q: QuantizeLinear h s z -> r_QuantizeLinear_Output
        h_D: DequantizeLinear r_QuantizeLinear_Output s z -> rd
        out: Neg rd -> y
    """
    saved = CLAMPED.format(fc="fc", op="MatMul", clamp="Relu") + "\n other: Exp h -> e @b"
    found = align(saved, changed, stored="w s z")
    assert (found["fc"][0], found["h_Q"][0], found["h_D"][0], found["out"][0]) == ("a.x", "a.y", "a.y", "b.z")


def test_a_clamp_that_a_fused_node_does_is_no_quantiser_s() -> None:
    changed = "fc: ms/FusedMatMul in w -> r \n q: QuantizeLinear r s z -> q1"
    found = align(CLAMPED.format(fc="fc", op="MatMul", clamp="Relu"), changed, stored="w s z")
    assert found == {"fc": ("a", "aligned", ("a.x", "a.y")), "q": ("a.y", "aligned", ())}


def test_what_others_read_too_is_clamped_before() -> None:
    changed = "fc: MatMul in other -> r \n q: QuantizeLinear r s z -> q1 \n n: Neg r -> y"
    found = align(CLAMPED.format(fc="fc", op="MatMul", clamp="Relu"), changed, stored="other s z")
    assert set(found["fc"][2]) == {"a.x", "a.y"}
    assert found["q"][0] == "a.y"


def test_an_operator_on_small_integers_does_the_clamp_behind_it() -> None:
    saved = "sum: Add in h -> s @a \n act: Relu s -> r @a.x \n fc: MatMul r w -> y @b.z"
    changed = """
        q1: QuantizeLinear in s0 z -> q
        sum: ms/QLinearAdd q q -> f1
        fc: ms/QGemm f1 s1 z w -> f2
        d: DequantizeLinear f2 s2 z -> y
    """
    found = align(saved, changed, inputs="in h", stored="w s0 s1 s2 z")
    assert found["sum"] == ("a", "aligned", ("a", "a.x"))
    assert found["fc"] == ("b.z", "aligned", ())


BRANCHES = """
    one: Gemm in w1 -> h1 @a.x
    two: Gemm in w2 -> h2 @a.y
    sum: Add h1 h2 -> y @b
"""


@pytest.mark.parametrize("suffix", ["_quantized", "_Q4"])
def test_rounded_weights_tell_branches_apart_in_whatever_order_they_come(suffix: str) -> None:
    changed = f"""
        q1: ms/QGemm in s z w2{suffix} -> f1
        q2: ms/QGemm in s z w1{suffix} -> f2
        sum: ms/QLinearAdd f2 f1 -> f3
        d: DequantizeLinear f3 s z -> y
    """
    found = align(BRANCHES, changed, weights="w1 w2", stored=f"w1{suffix} w2{suffix} s z")
    assert (found["q1"][0], found["q2"][0], found["sum"][0]) == ("a.y", "a.x", "b")


def test_a_weight_behind_a_dequantiser_counts() -> None:
    changed = """
        d1: DequantizeLinear w2_quantized s z -> f1
        d2: DequantizeLinear w1_quantized s z -> f2
        g1: Gemm in f1 -> f3
        g2: Gemm in f2 -> f4
        sum: Add f4 f3 -> y
    """
    found = align(BRANCHES, changed, weights="w1 w2", stored="w1_quantized w2_quantized s z")
    assert (found["g1"][0], found["g2"][0]) == ("a.y", "a.x")


def test_a_converter_that_is_tagged_apart_parts_no_neighbours() -> None:
    """The quantisers behind `one` and `two` are known by what they convert; the concatenation still comes behind."""
    saved = """
        one: Gemm in w1 -> h1 @a.x
        two: Gemm in w2 -> h2 @a.y
        cat: Concat h1 h2 -> c @b
        out: Gemm c w3 -> o @b.z
        sum: Add o in -> y @b
    """
    changed = """
        one: Gemm in w1 -> h1
        two: Gemm in w2 -> h2
        q1: QuantizeLinear h1 s z -> f1
        q2: QuantizeLinear h2 s z -> f2
        cat: ms/QLinearConcat s z f1 s z f2 s z -> f3
        out: ms/QGemm f3 s z w3_quantized -> f4
        d: DequantizeLinear f4 s z -> f5
        sum: Add f5 in -> y
    """
    found = align(saved, changed, weights="w1 w2 w3", stored="w1 w2 w3_quantized s z")
    assert (found["cat"][0], found["out"][0], found["sum"][0]) == ("b", "b.z", "b")


def test_a_quantiser_s_copy_of_a_bias_does_not_give_one_call_the_work_of_another() -> None:
    """A bias that two calls share is stored twice; the weight, which they still share, tells the calls apart."""
    saved = """
        one: Gemm in w b -> h @a.x
        mid: Exp h -> e @b
        two: Gemm e w b -> y @a.y
    """
    changed = """
        one: ms/QGemm in s z w_quantized s z b_quantized -> f1
        mid: ms/QLinearExp f1 -> f2
        two: ms/QGemm f2 s z w_quantized s z b0_quantized -> f3
        d: DequantizeLinear f3 s z -> y
    """
    found = align(saved, changed, stored="w_quantized b_quantized b0_quantized s z")
    assert {name: found[name][0] for name in ("one", "mid", "two")} == {"one": "a.x", "mid": "b", "two": "a.y"}


BLOCKED = """
    conv: Conv in w -> c @a.x
    norm: Mul c g -> n @a.y
    act: Relu n -> r @a.y.deep
    out: Neg r -> y @b.z
"""


def test_what_only_moves_a_fused_node_s_result_is_of_the_last_work_alone() -> None:
    changed = "r_nchwc: nchwc/Conv in w -> f1 \n back: nchwc/ReorderOutput f1 -> r \n out: Neg r -> y"
    found = align(BLOCKED, changed, stored="w")
    assert found["r_nchwc"][2] == ("a.x", "a.y", "a.y.deep")
    assert found["back"] == ("a.y.deep", "aligned", ())


def test_inserted_moves_around_a_fused_node_are_of_its_first_and_of_its_last_work() -> None:
    changed = """
        t1: Transpose in -> f1
        conv: ms/QLinearConv f1 s z w -> f2
        t2: Transpose f2 -> f3
        d: DequantizeLinear f3 s z -> r
        out: Neg r -> y
    """
    found = align(BLOCKED, changed, stored="w s z")
    assert found["conv"][2] == ("a.x", "a.y", "a.y.deep")
    assert (found["t1"], found["t2"]) == (("a.x", "aligned", ()), ("a.y.deep", "aligned", ()))
