"""Stages that a tool dropped or folded into weights while names moved: weights and values decide, not names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from examples.lines import Array, Result, aligned, map_of, model, modules
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

WEIGHTS: Mapping[str, Array] = {
    name: np.random.default_rng(seed).standard_normal((4, 4)).astype(np.float32)
    for seed, name in enumerate(("a.x.w", "a.y.g", "a.y.h", "b.w"))
}
FOLDED: Mapping[str, Array] = {"new": WEIGHTS["a.x.w"] * 2, "new_bias": WEIGHTS["a.x.w"] + 3}


def with_values(text: str, values: Mapping[str, Array]) -> onnx.ModelProto:
    made = model(text, stored="")
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
    return made


def align(saved: str, changed: str, *, stored: Mapping[str, Array] | None = None) -> Result:
    exported = with_values(saved, WEIGHTS)
    tree = map_of(exported, modules(saved), parameters=WEIGHTS)
    assert tree.graph is not None
    owners = {name: (name.rpartition(".")[0],) for name in WEIGHTS}
    tree = replace(tree, graph=replace(tree.graph, initializers=owners))
    new = with_values(changed, {**WEIGHTS, **FOLDED, **(stored or {})})
    return aligned(PassManager([Match(), Align()], verify=True).run_in(Context(new, tree)))


NORM = """
    conv: Conv in a.x.w -> c @a.x
    mul: Mul c a.y.g -> m @a.y
    add: Add m a.y.h -> n @a.y
    act: Relu n -> r @a.y.deep
    out: Conv r b.w -> y @b
"""


@pytest.mark.parametrize("name", ["c", "n", "fresh"])
def test_a_norm_worked_into_weights_is_the_convolution_s_whatever_its_result_is_called(name: str) -> None:
    found = align(NORM, f"conv: Conv in new new_bias -> {name} \n act: Relu {name} -> r \n out: Conv r b.w -> y")
    assert found["conv"] == ("a", "aligned", ("a.x", "a.y"))
    assert found["act"][0] == "a.y.deep"
    assert found["out"] == ("b", "matched", ())


def test_a_scale_worked_into_weights_is_not_the_shift_s_behind_it() -> None:
    found = align(NORM, "conv: Conv in new -> c \n add: Add c a.y.h -> n \n act: Relu n -> r \n out: Conv r b.w -> y")
    assert found["conv"] == ("a", "aligned", ("a.x", "a.y"))
    assert found["add"] == ("a.y", "aligned", ())


SWISH = """
    conv: Conv in a.x.w -> c @a.x
    beta: Mul c one -> m @a.y
    sig: Sigmoid m -> s @a.y
    act: Mul c s -> r @a.y
    out: Conv r b.w -> y @b
"""


def test_a_product_with_one_that_is_dropped_is_nobody_s_work() -> None:
    """The convolution makes the tensor that was the product's, and the last product reads it in both places."""
    found = align(SWISH, "conv: Conv in a.x.w -> m \n sig: Sigmoid m -> s \n act: Mul m s -> r \n out: Conv r b.w -> y")
    assert found["conv"] == ("a.x", "aligned", ())
    assert (found["sig"], found["act"]) == (("a.y", "matched", ()), ("a.y", "aligned", ()))


def test_the_same_weights_under_another_name_tell_as_much() -> None:
    changed = "conv: Conv in other -> m \n sig: Sigmoid m -> s \n act: Mul m s -> r \n out: Conv r b.w -> y"
    assert align(SWISH, changed, stored={"other": WEIGHTS["a.x.w"]})["conv"] == ("a.x", "aligned", ())


def test_other_values_under_the_same_name_do_not() -> None:
    """A weight that kept its name, and into which the stage was worked."""
    changed = "conv: Conv in a.x.w -> n \n act: Relu n -> r \n out: Conv r b.w -> y"
    found = align(NORM, changed, stored={"a.x.w": WEIGHTS["a.x.w"] * 2})
    assert found["conv"] == ("a", "aligned", ("a.x", "a.y"))


@pytest.mark.parametrize("stage", ["Mul", "Add"])
def test_a_stage_dropped_in_front_of_a_node_that_is_as_it_was_is_not_its_work(stage: str) -> None:
    saved = f"first: Exp in -> e @a.x \n s: {stage} e one -> m @a.y \n conv: Conv m b.w -> y @b"
    found = align(saved, "first: Exp in -> e \n conv: Conv e b.w -> y")
    assert found == {"first": ("a.x", "matched", ()), "conv": ("b", "aligned", ())}


def test_a_stage_worked_into_the_weights_behind_it_is() -> None:
    saved = "first: Exp in -> e @a.x \n s: Mul e one -> m @a.y \n conv: Conv m b.w -> y @b"
    assert align(saved, "first: Exp in -> e \n conv: Conv e new -> y")["conv"] == ("", "aligned", ("a.y", "b"))


def test_without_values_a_name_decides_as_before() -> None:
    """Nothing says that the weights are others."""
    exported = with_values(NORM, WEIGHTS)
    new = with_values("conv: Conv in new -> n \n act: Relu n -> r \n out: Conv r b.w -> y", {"b.w": WEIGHTS["b.w"]})
    new.graph.initializer.append(onnx.TensorProto(name="new", data_type=1, dims=[4, 4]))
    ctx = Context(new, map_of(exported, modules(NORM), parameters=WEIGHTS))
    found = aligned(PassManager([Match(), Align()], verify=True).run_in(ctx))
    assert found["conv"] == ("a", "aligned", ("a.x", "a.y"))
