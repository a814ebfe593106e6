"""TorchScript's scopes: what a node's name spells is believed only if it can mean nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper, numpy_helper

from onnx_tagger.hierarchy.digest import value_digests
from onnx_tagger.hierarchy.map import HierarchyMap, Operation, Parameter
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context, Pass
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

ROWS = [ModuleRow("", "Net"), ModuleRow("conv", "Conv"), ModuleRow("act", "Tanh")]
ROWS += [ModuleRow("b", "Block"), ModuleRow("b.conv", "Conv"), ModuleRow("b.act", "Sigmoid")]
WEIGHTS = {
    name: np.random.default_rng(seed).standard_normal((4, 4)).astype(np.float32)
    for seed, name in enumerate(("conv.weight", "b.conv.weight"))
}
RUN = (
    Operation("conv", "mm", weights=("conv.weight",)),
    Operation("act", "tanh", reads=(0,)),
    Operation("b.conv", "mm", weights=("b.conv.weight",), reads=(1,)),
    Operation("b.act", "sigmoid", reads=(2,)),
)


def tree(calls: Mapping[str, int] | None = None, run: tuple[Operation, ...] = RUN) -> HierarchyMap:
    """The map of a run, each module of which was called once if nothing else is given."""
    plain, ran = (
        HierarchyMap.from_rows(ROWS),
        {"": 1, **dict.fromkeys((step.module for step in run), 1), **(calls or {})},
    )
    modules = tuple(replace(module, calls=ran.get(module.path, 0)) for module in plain.modules)
    parameters = tuple(
        Parameter(name, name.rpartition(".")[0], values.shape, "float32", value_digests(values))
        for name, values in WEIGHTS.items()
    )
    return HierarchyMap(modules, parameters, trace=run)


def found(hierarchy: HierarchyMap, *names: str, more: tuple[Pass, ...] = ()) -> dict[str, tuple[str, str]]:
    """Module and source of each node of a chain; ``/conv/MatMul:conv.weight`` reads a weight."""
    nodes = []
    for place, text in enumerate(names):
        name, *weights = text.split(":")
        kind = name.rpartition("/")[2].partition("_")[0]
        nodes.append(helper.make_node(kind, [f"h{place}", *weights], [f"h{place + 1}"], name))
    stored = [numpy_helper.from_array(values, name) for name, values in WEIGHTS.items()]
    x, y = (helper.make_tensor_value_info(name, 1, None) for name in ("h0", f"h{len(nodes)}"))
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], stored))
    ctx = PassManager([Match(), *more], verify=True).run_in(Context(model, hierarchy))
    return {op.node.name: (tag.module, tag.source.label) for op in ctx.ops if (tag := ctx.tags.get(op)) is not None}


CALLED_FROM_OUTSIDE = ("/conv/MatMul:conv.weight", "/act/Tanh", "/conv_1/MatMul:b.conv.weight", "/act_1/Sigmoid")


def test_a_number_is_a_second_call_only_if_there_was_one() -> None:
    """Here it is a grandchild of the same name that the root calls itself."""
    assert found(tree(), *CALLED_FROM_OUTSIDE) == {}
    whole = found(tree(), *CALLED_FROM_OUTSIDE, more=(Align(), Inherit()))
    assert [module for module, _ in whole.values()] == ["conv", "act", "b.conv", "b.act"]
    assert {source for _, source in whole.values()} == {"aligned"}


def test_a_second_call_that_there_was_is_known() -> None:
    names = ("/act/Tanh", "/act_1/Tanh")
    run = (Operation("act", "tanh"), Operation("act", "tanh", reads=(0,)))
    assert found(tree({"act": 2}, run), *names) == dict.fromkeys(names, ("act", "matched"))
    assert found(tree({"act": 1, "b.act": 1}, run), *names) == {}


def test_a_scope_is_not_believed_while_a_call_of_its_name_has_left_none() -> None:
    """It may be that call's: `b.act` called from outside, and `act` directly."""
    run = (Operation("b.act", "tanh"), Operation("act", "tanh", reads=(0,)))
    assert found(tree(run=run), "/act/Tanh", "/Tanh") == {}
    assert found(tree(run=run), "/b/act/Tanh", "/act/Tanh") == {
        "/b/act/Tanh": ("b.act", "matched"),
        "/act/Tanh": ("act", "matched"),
    }


@pytest.mark.parametrize("name", ["act", "other"])
def test_without_counted_calls_a_number_is_believed_where_no_other_module_has_the_name(name: str) -> None:
    rows = [*ROWS, ModuleRow("other", "Tanh")]
    names = (f"/{name}/Tanh", f"/{name}_1/Tanh")
    expected = dict.fromkeys(names, ("other", "matched")) if name == "other" else {}
    assert found(HierarchyMap.from_rows(rows), *names) == expected


def test_a_weight_s_owner_beats_a_scope() -> None:
    """The grandchild is called first, so its scope has no number."""
    assert found(tree(), "/conv/MatMul:b.conv.weight") == {}
    assert found(tree(), "/conv/MatMul:b.conv.weight", more=(Align(),))["/conv/MatMul"] == ("b.conv", "aligned")


def test_a_module_without_weights_of_its_own_may_use_another_s() -> None:
    run = (Operation("b", "mm", weights=("conv.weight",)),)
    assert found(tree(run=run), "/b/MatMul:conv.weight") == {"/b/MatMul": ("b", "matched")}


def test_a_scope_is_not_believed_of_an_operation_that_its_module_did_not_run() -> None:
    """A child whose `forward` is called directly leaves no scope: the root ran no Tanh."""
    run = (
        Operation("conv", "mm", weights=("conv.weight",)),
        Operation("act", "tanh", reads=(0,)),
        Operation("", "mul"),
    )
    names = ("/conv/MatMul:conv.weight", "/Tanh", "/Mul")
    assert found(tree(run=run), *names) == {"/conv/MatMul": ("conv", "matched"), "/Mul": ("", "matched")}
    assert found(tree(run=run), *names, more=(Align(),))["/Tanh"] == ("act", "aligned")


@pytest.mark.parametrize("kind", ["Constant", "Shape", "Reshape"])
def test_what_comes_with_any_operation_is(kind: str) -> None:
    run = (Operation("act", "tanh"),)
    assert found(tree(run=run), f"/act/{kind}") == {f"/act/{kind}": ("act", "matched")}
