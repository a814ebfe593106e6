"""A source never says more than was known: `matched` is right to the letter, and nothing names a sibling's module."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
from hypothesis import given, settings, strategies as st
from onnx import helper, numpy_helper

from examples.lines import PATHS, map_of, model
from onnx_tagger.hierarchy.digest import value_digests
from onnx_tagger.hierarchy.map import HierarchyMap, Operation, Parameter
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

KINDS = ("Exp", "Tanh", "Sigmoid", "Neg")


@st.composite
def dropped_stages(draw: st.DrawFn) -> tuple[onnx.ModelProto, HierarchyMap, list[str]]:
    """Draw a chain, and what is left of it where a tool dropped products with one, and names moved or did not.

    Nodes and tensors may be renamed besides, but never to another's name.
    """
    count = draw(st.integers(2, 8))
    kinds = [draw(st.sampled_from([*KINDS, "Mul"])) for _ in range(count - 1)] + [draw(st.sampled_from(KINDS))]
    paths = [draw(st.sampled_from(PATHS)) for _ in range(count)]
    reads = ["in", *(f"t{place}" for place in range(count - 1))]
    lines = [f"n{i}: {kinds[i]} {reads[i]} {f'b{i}' if kinds[i] == 'Mul' else ''} -> t{i}" for i in range(count)]
    kept = [place for place in range(count) if kinds[place] != "Mul" or draw(st.booleans())]
    made, before = [], "in"
    for place, following in zip(kept, [*kept[1:], count], strict=True):
        # The name of what was dropped behind a node goes to its result, or its own stays.
        names = [f"t{place}", f"t{following - 1}", f"fresh{place}"] if place < count - 1 else [f"t{place}"]
        out = draw(st.sampled_from(names))
        name = draw(st.sampled_from([f"n{place}", f"other{place}"]))
        made.append(f"{name}: {kinds[place]} {before} {f'b{place}' if kinds[place] == 'Mul' else ''} -> {out}")
        before = out
    # Else one product would be as good as another.
    stored = " ".join(f"b{place}" for place in range(count))
    tree = map_of(model("\n".join(lines), stored=stored), list(paths))
    return model("\n".join(made), stored=stored), tree, [paths[place] for place in kept]


def insist_on_no_claim(made: onnx.ModelProto, tree: HierarchyMap, truth: list[str]) -> None:
    """Tag a model: what is said to be certain is true, and any other tag encloses what is."""
    ctx = PassManager([Match(), Align(), Inherit()], verify=True).run_in(Context(made, tree))
    for op, path in zip(ctx.ops, truth, strict=True):
        tag = ctx.tags[op]
        if tag.source <= Source.MATCHED:
            assert tag.modules == (path,)
        assert tree.encloses(tag.module, path)


@settings(max_examples=100)
@given(dropped_stages())
def test_what_tools_dropped_is_not_claimed(drawn: tuple[onnx.ModelProto, HierarchyMap, list[str]]) -> None:
    insist_on_no_claim(*drawn)


ROWS = [ModuleRow("", "Net"), ModuleRow("conv", "Conv"), ModuleRow("act", "Tanh"), ModuleRow("only", "Conv")]
ROWS += [ModuleRow(f"{block}{leaf}", leaf.title()) for block in ("b", "b.c", "d") for leaf in ("", ".conv", ".act")]
LEAVES = [row.path for row in ROWS if row.path.rpartition(".")[2] in ("conv", "act", "only")]
WEIGHTS = {
    f"{path}.weight": np.random.default_rng(seed).standard_normal((4, 4)).astype(np.float32)
    for seed, path in enumerate(path for path in LEAVES if not path.endswith("act"))
}


@st.composite
def runs(draw: st.DrawFn) -> tuple[onnx.ModelProto, HierarchyMap, list[str]]:
    """Draw calls of leaves, by their parents or from outside, and a file whose nodes are named as TorchScript does.

    The scope of a child that is called from outside its parent begins there, and what is called so once more under one
    scope is numbered; a child whose `forward` is called directly leaves no scope.
    """
    called = [draw(st.sampled_from(LEAVES)) for _ in range(draw(st.integers(1, 8)))]
    nodes: list[onnx.NodeProto] = []
    taken, operators = Counter[str](), Counter[str]()
    trace: list[Operation] = []
    for place, path in enumerate(called):
        way = draw(st.sampled_from(["parent", "parent", "outside", "directly"]))
        scope = {"parent": f"/{path.replace('.', '/')}", "outside": f"/{path.rpartition('.')[2]}", "directly": ""}[way]
        number, taken[scope] = taken[scope], taken[scope] + 1
        scope += f"_{number}" if number and scope else ""
        weights = [f"{path}.weight"] if f"{path}.weight" in WEIGHTS else []
        kind = "MatMul" if weights else "Tanh"
        count, operators[f"{scope}/{kind}"] = operators[f"{scope}/{kind}"], operators[f"{scope}/{kind}"] + 1
        name = f"{scope}/{kind}" + (f"_{count}" if count else "")
        nodes.append(helper.make_node(kind, [f"h{place}", *weights], [f"h{place + 1}"], name))
        operator = "mm" if weights else "tanh"
        trace.append(Operation(path, operator, weights=tuple(weights), reads=(place - 1,) if place else ()))
    stored = [numpy_helper.from_array(values, name) for name, values in WEIGHTS.items()]
    x, y = (helper.make_tensor_value_info(name, 1, None) for name in ("h0", f"h{len(nodes)}"))
    plain, calls = HierarchyMap.from_rows(ROWS), Counter(called)
    modules = tuple(replace(module, calls=calls[module.path]) for module in plain.modules)
    parameters = tuple(
        Parameter(name, name.rpartition(".")[0], values.shape, "float32", value_digests(values))
        for name, values in WEIGHTS.items()
    )
    made = helper.make_model(helper.make_graph(nodes, "g", [x], [y], stored))
    return made, HierarchyMap(modules, parameters, trace=tuple(trace)), called


@settings(max_examples=100)
@given(runs())
def test_what_a_scope_does_not_tell_is_not_claimed(drawn: tuple[onnx.ModelProto, HierarchyMap, list[str]]) -> None:
    insist_on_no_claim(*drawn)
