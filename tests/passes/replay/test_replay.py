"""A file beside the captured run: pins, what lies between them, folds, and calls of one module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.digest import value_digests
from onnx_tagger.hierarchy.map import HierarchyMap, Merge, Operation, Parameter, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.replay.operators import writes
from onnx_tagger.passes.replay.replay import MOST_PAIRS

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=(4, 4)).astype(np.float32) for _ in range(3))
SCALE = np.linspace(1, 2, 16, dtype=np.float32)


def tree(weights: dict[str, np.ndarray], *run: str | Operation) -> HierarchyMap:
    """A map of the modules that the run names; ``module:operator`` or ``module:operator:weight`` each."""
    trace = [step if isinstance(step, Operation) else operation(step, place) for place, step in enumerate(run)]
    paths = {path for step in trace for path in _chain(step.module)}
    rows = [ModuleRow("", "Net"), *(ModuleRow(path, path.rpartition(".")[2].title()) for path in sorted(paths))]
    parameters = tuple(
        Parameter(name, name.rpartition(".")[0], value.shape, "float32", value_digests(value))
        for name, value in weights.items()
    )
    return replace(HierarchyMap.from_rows(rows), parameters=parameters, trace=tuple(trace))


def operation(text: str, place: int) -> Operation:
    module, operator, *weights = text.split(":")
    return Operation(module, operator, weights=tuple(weights), reads=(place - 1,) if place else ())


def _chain(path: str) -> list[str]:
    parts = path.split(".") if path else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def tags(nodes: list[str], stored: dict[str, np.ndarray], hierarchy: HierarchyMap, *passes: ot.Pass) -> list[str]:
    """Module, call and source of a chain of nodes; ``MatMul:w`` reads a weight."""
    made = []
    for place, text in enumerate(nodes):
        head, *weights = text.split(":")
        domain, _, kind = head.rpartition("/")
        made.append(helper.make_node(kind, [f"h{place}", *weights], [f"h{place + 1}"], domain=domain))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("h0", f"h{len(nodes)}"))
    weights = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    ctx = Context(helper.make_model(onnx.helper.make_graph(made, "g", [x], [y], weights)), hierarchy)
    PassManager(list(passes or (ot.Align(),)), verify=True).run_in(ctx)
    return [_text(ctx.tags.get(op)) for op in ctx.ops]


def _text(tag: ot.Tag | None) -> str:
    if tag is None:
        return "-"
    return f"{'+'.join(tag.origins) or (tag.call and tag.call[0]) or tag.module} {tag.source.label}"


def test_what_lies_between_two_weights_is_of_the_operations_in_between() -> None:
    hierarchy = tree({"a.w": A, "b.w": B}, "a:mm:a.w", "act:relu", ":add", "b:mm:b.w", "b:tanh")
    found = tags(["MatMul:a.w", "Relu", "Add", "MatMul:b.w", "Tanh"], {"a.w": A, "b.w": B}, hierarchy)
    assert found == ["a aligned", "act aligned", " aligned", "b aligned", "b aligned"]


def test_renamed_weights_pin_by_their_values() -> None:
    hierarchy = tree({"a.w": A, "b.w": B}, "a:mm:a.w", "b:mm:b.w")
    found = tags(["MatMul:v1", "MatMul:v2"], {"v1": A.T.copy(), "v2": B}, hierarchy)
    assert found == ["a aligned", "b aligned"]


def test_order_tells_equal_weights_apart() -> None:
    hierarchy = tree({"a.w": A, "b.w": A}, "a:mm:a.w", "act:relu", "b:mm:b.w")
    assert tags(["MatMul:a.w", "Relu", "MatMul:a.w"], {"a.w": A}, hierarchy) == [
        "a aligned",
        "act aligned",
        "b aligned",
    ]


def test_calls_of_one_module_are_told_apart() -> None:
    run = [
        Operation("a", kind, weights=("a.w",) if kind == "mm" else (), call=(f"a@{k}",))
        for k in range(3)
        for kind in ("mm", "relu")
    ]
    found = tags(["MatMul:a.w", "Relu"] * 3, {"a.w": A}, tree({"a.w": A}, *run))
    assert found == [f"a@{k} aligned" for k in range(3) for _ in range(2)]


def test_a_weight_that_another_node_reads_than_the_operation_did_pins_nothing() -> None:
    """A look-up that was worked out beforehand: the sum reads the table, the operation that read it is gone."""
    hierarchy = tree({"table.w": A}, "table:embedding:table.w", ":add", "head:relu")
    assert tags(["Add:table.w", "Relu"], {"table.w": A}, hierarchy) == [" aligned", "head aligned"]


def test_a_recurrent_layer_does_what_a_series_of_operations_did() -> None:
    weights = {"cell.w": A, "cell.r": B}
    hierarchy = tree(weights, ":tanh", "cell:mm:cell.w", "cell:mm:cell.r", "cell:sigmoid", "head:relu")
    assert tags(["Tanh", "RNN:w:r", "Relu"], {"w": A, "r": B}, hierarchy) == [
        " aligned",
        "cell aligned",
        "head aligned",
    ]


@pytest.mark.parametrize(("merge", "module"), [("enclosing", "block"), ("output", "block.norm")])
def test_a_fold_has_both_origins_and_the_tag_that_was_asked_for(merge: Merge, module: str) -> None:
    weights = {"block.conv.w": A, "block.norm.w": SCALE}
    run = ("block.conv:convolution:block.conv.w", "block.norm:native_batch_norm:block.norm.w", "act:relu")
    found = tags(["Conv:w", "Relu"], {"w": A * 2}, tree(weights, *run), ot.Align(merge=merge))
    assert found == ["block.conv+block.norm aligned", "act aligned"]
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(A * 2, "w")])
    ctx = Context(helper.make_model(graph), tree(weights, *run[:2]))
    PassManager([ot.Align(merge=merge)], verify=True).run_in(ctx)
    assert ctx.tags[ctx.ops[0]].module == module


def test_what_a_node_does_was_not_folded() -> None:
    weights = {"conv.w": A, "norm.w": SCALE}
    hierarchy = tree(weights, "conv:convolution:conv.w", "norm:native_batch_norm:norm.w")
    found = tags(["Conv:conv.w", "BatchNormalization:norm.w"], weights, hierarchy)
    assert found == ["conv aligned", "norm aligned"]


def test_only_what_reads_a_result_alone_is_folded_into_its_maker() -> None:
    steps = [
        operation("conv:convolution:conv.w", 0),
        Operation("norm", "native_batch_norm", weights=("norm.w",), reads=(0,)),
        Operation("", "add", reads=(0, 1)),
    ]
    assert tags(["Conv:w", "Add"], {"w": A * 2}, tree({"conv.w": A, "norm.w": SCALE}, *steps))[0] == "conv aligned"


def test_many_nodes_without_any_weight_are_counted_off() -> None:
    count = int(MOST_PAIRS**0.5) + 1
    hierarchy = tree({}, *(f"m{i}:{('relu', 'tanh')[i % 2]}" for i in range(count)))
    assert "Relu" in writes("relu")
    found = tags(["Relu", "Tanh"] * (count // 2) + ["Relu"] * (count % 2), {"w": A}, replace(hierarchy, parameters=ONE))
    assert found == [f"m{i} aligned" for i in range(count)]


ONE = (Parameter("m0.w", "m0", (4, 4), "float32", value_digests(A)),)


def test_a_weight_speaks_also_where_its_reader_is_out_of_order() -> None:
    weights = {"a.w": A, "b.w": B, "c.w": C}
    hierarchy = tree(weights, "a:mm:a.w", "act:relu", "b:mm:b.w", "c:mm:c.w")
    found = tags(["MatMul:c.w", "MatMul:a.w", "Relu", "MatMul:b.w"], weights, hierarchy)
    assert found == ["c aligned", "a aligned", "act aligned", "b aligned"]


def test_a_file_that_shares_no_names_with_the_saved_graph_is_laid_beside_the_run() -> None:
    hierarchy = tree({"a.w": A, "b.w": B}, "a:mm:a.w", "act:relu", "b:mm:b.w")
    known = [hierarchy.tag(path, ot.Source.EXPORTED) for path in ("a", "act", "b")]
    kinds, names = ("MatMul", "Relu", "MatMul"), "pqrs"
    nodes = [SavedNode("main", "", k, (names[i],), (names[i + 1],), known[i]) for i, k in enumerate(kinds)]
    both = replace(hierarchy, graph=SavedGraph(nodes, ("p",), ("s",), {}))
    found = tags(["MatMul:v", "Relu", "MatMul:w"], {"v": A, "w": B}, both, ot.Match(), ot.Align())
    assert found == ["a aligned", "act aligned", "b aligned"]


def test_an_optimiser_s_operator_does_its_neighbours_work_too() -> None:
    weights = {"norm.w": SCALE, "b.w": B}
    run = [
        operation("a:mm:a.w", 0),
        operation(":add", 1),
        operation("norm:native_layer_norm:norm.w", 2),
        operation("b:mm:b.w", 3),
    ]
    made = ["MatMul:a.w", "com.microsoft/SkipLayerNormalization:norm.w", "MatMul:b.w"]
    hierarchy = tree(weights | {"a.w": A}, *run)
    assert tags(made, weights | {"a.w": A}, hierarchy) == ["a aligned", "+norm aligned", "b aligned"]


def test_converters_are_of_what_they_convert_and_on_a_weight_of_what_reads_it() -> None:
    hierarchy = tree({"a.w": A, "b.w": B}, "a:mm:a.w", "act:relu", "b:mm:b.w", "c:tanh")
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["v"]),
        helper.make_node("QuantizeLinear", ["x", "s"], ["x8"]),
        helper.make_node("DequantizeLinear", ["x8", "s"], ["x1"]),
        helper.make_node("MatMul", ["x1", "a.w"], ["h"]),
        helper.make_node("QuantizeLinear", ["h", "s"], ["h8"]),
        helper.make_node("DequantizeLinear", ["h8", "s"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["t"]),
        helper.make_node("Tanh", ["t"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    stored = {"a.w": A, "q": np.ones((4, 4), np.int8), "s": np.float32(1)}
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    ctx = Context(helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights)), hierarchy)
    PassManager([ot.Align(), ot.Inherit()], verify=True).run_in(ctx)
    assert [ctx.tags[op].module for op in ctx.ops] == ["b", "a", "a", "a", "a", "a", "act", "b", "c"]


@pytest.mark.parametrize("merge", ["enclosing", "output"])
def test_what_two_fused_nodes_lead_to_is_the_last_one_s(merge: Merge) -> None:
    steps = [
        Operation("a", "convolution", weights=("a.w",)),
        Operation("b", "convolution", weights=("b.w",)),
        Operation("c", "add", reads=(0, 1)),
    ]
    hierarchy = tree({"a.w": A, "b.w": B}, *steps)
    nodes = [
        helper.make_node("Conv", ["x", "a.w"], ["p"], domain="com.microsoft.nchwc"),
        helper.make_node("Conv", ["x", "b.w", "", "p"], ["y"], domain="com.microsoft.nchwc"),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    weights = [numpy_helper.from_array(value, name) for name, value in (("a.w", A), ("b.w", B))]
    ctx = Context(helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights)), hierarchy)
    PassManager([ot.Align(merge=merge)], verify=True).run_in(ctx)
    first, last = (ctx.tags[op] for op in ctx.ops)
    assert first.modules == ("a",)
    assert last.origins == ("b", "c")


def test_two_moves_in_one_are_not_the_next_module_s() -> None:
    """The next module looks at its weight in another way; what moves data is not that."""
    run = [
        Operation("a", "transpose", view=True),
        Operation("a", "transpose", view=True),
        Operation("lin", "t", view=True, weights=("lin.w",)),
        Operation("lin", "mm", weights=("lin.w",)),
    ]
    found = tags(["Transpose", "MatMul:lin.w"], {"lin.w": A}, tree({"lin.w": A}, *run))
    assert found == ["a aligned", "lin aligned"]


def test_an_einsum_is_of_the_product_that_it_was_done_as() -> None:
    run = tree({"a.w": A, "e.w": B}, "a:mm:a.w", "b:relu", "e:bmm:e.w", "c:tanh")
    found = tags(["MatMul:a.w", "Relu", "Einsum:e.w", "Tanh"], {"a.w": A, "e.w": B}, run)
    assert found == ["a aligned", "b aligned", "e aligned", "c aligned"]


def test_quantisers_of_a_run_that_quantises_are_its_own() -> None:
    run = tree({"a.w": A, "b.w": B}, "a:mm:a.w", "fq:fake_quantize_per_tensor_affine_cachemask", "b:mm:b.w")
    nodes = ["MatMul:a.w", "QuantizeLinear", "DequantizeLinear", "MatMul:b.w"]
    assert tags(nodes, {"a.w": A, "b.w": B}, run) == ["a aligned", "fq aligned", "fq aligned", "b aligned"]


def test_inserted_quantisers_are_of_what_they_convert() -> None:
    run = tree({"a.w": A, "b.w": B}, "a:mm:a.w", "b:mm:b.w")
    nodes = ["MatMul:a.w", "QuantizeLinear", "DequantizeLinear", "MatMul:b.w"]
    assert tags(nodes, {"a.w": A, "b.w": B}, run) == ["a aligned", "a aligned", "a aligned", "b aligned"]


COMPLEX = ["MatMul:a.w", "Slice", "Mul", "Mul", "Mul", "Mul", "Sub", "Add", "Concat", "MatMul:b.w"]


def _rotating(product: Operation) -> HierarchyMap:
    weights = {"a.w": A, "b.w": B, "f": SCALE}
    made = tree(
        weights,
        Operation("a", "mm", weights=("a.w",)),
        Operation("rope", "view_as_complex", view=True, reads=(0,)),
        product,
        Operation("rope", "view_as_real", view=True, reads=(2,)),
        Operation("b", "mm", weights=("b.w",), reads=(2,)),
    )
    known = tuple(replace(one, dtype="complex64") if one.name == "f" else one for one in made.parameters)
    return replace(made, parameters=known)


@pytest.mark.parametrize(
    "product",
    [Operation("rope", "mul", weights=("f",), reads=(0,)), Operation("rope", "mul", reads=(0, 0))],
    ids=["by a parameter", "by what was viewed so"],
)
def test_a_product_of_complex_numbers_is_written_out_in_parts(product: Operation) -> None:
    found = tags(COMPLEX, {"a.w": A, "b.w": B}, _rotating(product))
    assert found == ["a aligned", *["rope aligned"] * 8, "b aligned"]
