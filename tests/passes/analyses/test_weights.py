"""Tags by weights: whose a stored tensor is, what time decides, and what was folded away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.digest import value_digests
from onnx_tagger.hierarchy.map import HierarchyMap, Module, Parameter
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.passes.analyses.weights import WeightOwners
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager

RNG = np.random.default_rng(0)


def tree(paths: Sequence[str], weights: dict[str, np.ndarray], calls: dict[str, int] | None = None) -> HierarchyMap:
    """A map of modules called once, in this order; each weight is a parameter by its full name."""
    counts = calls or {}
    bare = HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(path, "Blk") for path in paths)])
    modules = tuple(
        replace(module, order=index, calls=counts.get(module.path, 1)) if counts.get(module.path, 1) else module
        for index, module in enumerate(bare.modules)
    )
    parameters = tuple(
        Parameter(name, name.rpartition(".")[0], values.shape, str(values.dtype), value_digests(values))
        for name, values in weights.items()
    )
    return HierarchyMap(modules, parameters)


def net(nodes: Sequence[onnx.NodeProto], stored: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A model of these nodes from x to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    tensors = [numpy_helper.from_array(values, name) for name, values in stored.items()]
    return helper.make_model(helper.make_graph(list(nodes), "net", [x], [y], tensors))


def tags(model: onnx.ModelProto, hierarchy: HierarchyMap, *passes: ot.Pass) -> list[tuple[str, tuple[str, ...], str]]:
    """(module, origins, source) of each node; no module where there is no tag."""
    ctx = Context(model, hierarchy)
    PassManager(passes or [ot.Align()], verify=True).run_in(ctx)
    found = [ctx.tags.get(op) for op in ctx.ops]
    return [(tag.module, tag.origins, tag.source.label) if tag else ("-", (), "") for tag in found]


def matmuls(*names: str) -> list[onnx.NodeProto]:
    """A chain of products with these weights."""
    steps = ["x", *(f"h{i}" for i in range(1, len(names))), "y"]
    return [helper.make_node("MatMul", [steps[i], name], [steps[i + 1]]) for i, name in enumerate(names)]


A, B, C = (RNG.normal(size=(4, 4)).astype(np.float32) for _ in range(3))


def owners(model: onnx.ModelProto, hierarchy: HierarchyMap) -> dict[str, frozenset[str]]:
    return Context(model, hierarchy).get(WeightOwners)


def test_a_weight_is_known_by_name_and_shape() -> None:
    hierarchy = tree(["a", "b"], {"a.w": A, "b.w": B})
    zeros = np.zeros((4, 4), np.float32)
    assert owners(net(matmuls("a.w"), {"a.w": zeros}), hierarchy) == {"a.w": {"a"}}
    assert owners(net(matmuls("a.w"), {"a.w": np.zeros((2, 2), np.float32)}), hierarchy) == {}


def test_a_sparse_weight_is_known_by_name_and_shape_alone() -> None:
    model = net(matmuls("a.w", "b.w"), {})
    for name in ("a.w", "other"):
        sparse = model.graph.sparse_initializer.add(dims=[4, 4])
        sparse.values.CopyFrom(numpy_helper.from_array(A[0], name))
        sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(4), ""))
    assert owners(model, tree(["a", "b"], {"a.w": A, "b.w": B})) == {"a.w": {"a"}}


@pytest.mark.parametrize("copy", [A, A.T.copy(), A.astype(np.float16), A.reshape(2, 8)])
def test_a_renamed_weight_is_known_by_its_values(copy: np.ndarray) -> None:
    hierarchy = tree(["a", "b"], {"a.w": A, "b.w": B})
    assert owners(net(matmuls("onnx::MatMul_7"), {"onnx::MatMul_7": copy}), hierarchy) == {"onnx::MatMul_7": {"a"}}


def test_other_values_are_nobodys() -> None:
    assert owners(net(matmuls("w"), {"w": A + 1}), tree(["a"], {"a.w": A})) == {}


def test_equal_weights_may_be_of_any_owner() -> None:
    hierarchy = tree(["a", "b"], {"a.w": A, "b.w": A})
    assert owners(net(matmuls("a.w"), {"a.w": A}), hierarchy) == {"a.w": {"a", "b"}}


def test_a_module_that_never_ran_lends_its_weights_to_the_one_around_it() -> None:
    hierarchy = tree(["a", "a.proj"], {"a.proj.w": A}, {"a.proj": 0})
    assert owners(net(matmuls("a.proj.w"), {"a.proj.w": A}), hierarchy) == {"a.proj.w": {"a"}}


def test_values_that_may_not_be_read_decide_nothing() -> None:
    model = net(matmuls("w"), {"w": A})
    model.graph.initializer[0].ClearField("raw_data")
    ctx = Context(model, tree(["a"], {"a.w": A}))
    assert ctx.get(WeightOwners) == {}
    ctx = Context(model, tree(["a"], {"a.w": A}), values=lambda name: A)
    assert ctx.get(WeightOwners) == {"w": {"a"}}


def test_nodes_take_the_owner_of_what_they_read() -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["h"]),
        helper.make_node("Add", ["h", "b.bias"], ["y"]),
    ]
    bias = RNG.normal(size=4).astype(np.float32)
    hierarchy = tree(["a", "b"], {"a.w": A, "b.bias": bias})
    found = tags(net(nodes, {"w": A.T.copy(), "b.bias": bias}), hierarchy)
    assert found == [("-", (), ""), ("a", (), "aligned"), ("b", (), "aligned")]


def test_without_times_equal_weights_stay_open() -> None:
    hierarchy = tree(["a", "b"], {"a.w": A, "b.w": A}, {"": 2, "a": 2, "b": 2})
    assert tags(net(matmuls("a.w"), {"a.w": A}), hierarchy) == [("-", (), "")]


def test_weights_can_be_switched_off() -> None:
    hierarchy = tree(["a"], {"a.w": A})
    assert tags(net(matmuls("a.w"), {"a.w": A}), hierarchy, ot.Align(weights=False)) == [("-", (), "")]


def test_modules_are_what_the_fixture_says() -> None:
    module = tree(["a"], {}).by_path["a"]
    assert module == Module("a", "Blk", "/Net/Blk", "", 1, 1)
