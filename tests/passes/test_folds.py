"""Modules that were folded into the one before: with which tag, and when not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.digest import value_digests
from onnx_tagger.hierarchy import HierarchyMap, Merge, Module, Parameter
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager

WEIGHT = np.arange(16, dtype=np.float32).reshape(4, 4)
SCALE = np.linspace(1, 2, 16, dtype=np.float32)


def tree(*order: str) -> HierarchyMap:
    """Modules `block.conv` and `block.norm`, called in this order, each with a parameter."""
    tags = {"": "/Net", "block": "/Net/Block", "block.conv": "/Net/Block/Conv", "block.norm": "/Net/Block/Norm"}
    ran = ("", "block", *order)
    modules = tuple(
        Module(path, tag.rpartition("/")[2], tag, path.rpartition(".")[0] if path else None, ran.index(path), 1)
        for path, tag in tags.items()
        if path in ran
    )
    parameters = tuple(
        Parameter(f"{owner}.weight", owner, values.shape, "float32", value_digests(values))
        for owner, values in (("block.conv", WEIGHT), ("block.norm", SCALE))
        if owner in order
    )
    return HierarchyMap(modules, parameters)


def tag(hierarchy: HierarchyMap, stored: np.ndarray, merge: Merge = "enclosing") -> ot.Tag:
    """What a product with this weight, called as the convolution's, is tagged."""
    node = helper.make_node("MatMul", ["x", "block.conv.weight"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    weight = numpy_helper.from_array(stored, "block.conv.weight")
    ctx = Context(helper.make_model(onnx.helper.make_graph([node], "g", [x], [y], [weight])), hierarchy)
    PassManager([ot.Align(merge=merge)], verify=True).run_in(ctx)
    return ctx.tags[ctx.ops[0]]


@pytest.mark.parametrize(("merge", "module"), [("enclosing", "block"), ("output", "block.norm")])
def test_the_node_has_both_origins_and_the_tag_that_was_asked_for(merge: Merge, module: str) -> None:
    found = tag(tree("block.conv", "block.norm"), WEIGHT * 2, merge)
    assert (found.module, found.origins) == (module, ("block.conv", "block.norm"))
    assert found.source is ot.Source.ALIGNED


def test_unchanged_weights_took_nothing_in() -> None:
    assert tag(tree("block.conv", "block.norm"), WEIGHT).origins == ()


def test_only_the_module_that_ran_just_before_takes_one_in() -> None:
    assert tag(tree("block.norm", "block.conv"), WEIGHT * 2).origins == ()
