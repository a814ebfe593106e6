"""What every registered pass must hold to, whoever brings it: idempotent, honest about what it touches, any graph."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import operator, walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.registry import registered

TREE = HierarchyMap.from_rows([ModuleRow(path, "M") for path in ("", "a", "a.x", "b")])
CYCLE = [
    TREE.tag("a.x", Source.EXPORTED),
    None,
    TREE.tag("b", Source.MATCHED),
    TREE.tag("a", Source.ALIGNED, ("a", "a.x")),
]


def node(op: str, inputs: str = "", outputs: str = "", name: str = "", **bodies: onnx.GraphProto) -> onnx.NodeProto:
    """Make a node from space-separated tensor names; `-` is the empty name."""
    read, made_names = ([part.strip("-") for part in text.split()] for text in (inputs, outputs))
    made: onnx.NodeProto = helper.make_node(op, read, made_names, name, domain="d" if op in "fg" else None)
    made.attribute.extend(helper.make_attribute(key, body) for key, body in bodies.items())
    return made


def graph(*nodes: onnx.NodeProto, outputs: str = "") -> onnx.GraphProto:
    inner, outer = ([helper.make_tensor_value_info(n, 1, [1]) for n in text.split()] for text in ("in", outputs))
    return helper.make_graph(list(nodes), "g", inner, outer, [helper.make_tensor("w", 1, [1], [1.0])])


def empty() -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([], "g", [], []))


def chain() -> onnx.ModelProto:
    made = graph(
        node("Relu", "in", "h", "r"), node("Constant", "", "k"), node("Add", "h k", "s"), node("Exp", "s", "y")
    )
    return helper.make_model(made)


def bodies() -> onnx.ModelProto:
    deepest = graph(node("Neg", "h", "d"), outputs="d")
    inner = graph(node("Loop", "- - h", "i", body=deepest), node("Add", "i w", "j"), outputs="j")
    either = node("If", "c", "y", then_branch=inner, else_branch=graph(node("Constant", "", "e"), outputs="e"))
    return helper.make_model(graph(node("Relu", "in", "h"), either, node("Exp", "y", "z"), outputs="z"))


def names() -> onnx.ModelProto:
    made = graph(
        node("Relu", "in", "h", "same"),
        node("Exp", "h", "i", "same"),
        node("Add", "h i", "j", ""),
        node("Neg", "j", "k", "/"),
        node("Abs", "k", "same", "größe\n%/"),
    )
    return helper.make_model(made)


def optional() -> onnx.ModelProto:
    made = graph(
        node("Clip", "in - w", "h"),
        node("Dropout", "h - -", "i -"),
        node("Split", "i", "- j"),
        node("Op"),
        node("Cast", "-", "-"),
        node("Exp", "j", "y"),
    )
    return helper.make_model(made)


def functions() -> onnx.ModelProto:
    inside = node("If", "c", "r", then_branch=graph(node("g", "p", "i"), outputs="i"))
    made = [
        helper.make_function("d", "f", ["p"], ["r"], [node("Relu", "p", "q"), inside], []),
        helper.make_function("d", "g", ["p"], ["r"], [node("Exp", "p", "r")], []),
        helper.make_function("d", "dead", ["p"], ["r"], [node("Exp", "p", "r")], []),
        helper.make_function("d", "hollow", [], [], [], []),
    ]
    calls = graph(node("f", "in", "h"), node("f", "h", "i"), node("g", "i", "y"), node("Neg", "y", "z"))
    return helper.make_model(calls, functions=made)


def noted() -> onnx.ModelProto:
    made = chain()
    for each in made.graph.node:
        each.doc_string = "text\nonnx_tagger:a"
        for key in ("namespace", "pkg.onnx_tagger.tag", "pkg.torch.onnx.name_scopes", "namespace"):
            each.metadata_props.add(key=key, value="['', 'a', 'x'")
    return made


MODELS = (empty, chain, bodies, names, optional, functions, noted)


def saved(made: onnx.ModelProto) -> HierarchyMap:
    """Make the map of a model's export where every other node but one has a module."""
    ops = walk(made).ops
    nodes = [
        SavedNode(
            op.scope.name,
            op.node.name,
            operator(op.node),
            tuple(op.node.input),
            tuple(op.node.output),
            CYCLE[op.id % 4],
        )
        for op in ops
    ]
    return HierarchyMap(TREE.modules, (), SavedGraph(nodes, ("in",), (), {"w": ("a",)}))


def bare(made: onnx.ModelProto) -> Context:
    return Context(made)


def with_tree(made: onnx.ModelProto) -> Context:
    return Context(made, TREE)


def with_saved_graph(made: onnx.ModelProto) -> Context:
    return Context(made, saved(made))


def with_another_saved_graph(made: onnx.ModelProto) -> Context:
    return Context(made, saved(chain()))


def half_tagged(made: onnx.ModelProto) -> Context:
    ctx = Context(made, saved(made))
    tags: list[Tag | None] = [CYCLE[op.id % 4] for op in ctx.ops]
    ctx.tags.update({op: tag for op, tag in zip(ctx.ops, tags, strict=True) if tag is not None})
    return ctx


CONTEXTS = (bare, with_tree, with_saved_graph, with_another_saved_graph, half_tagged)


def stripped(model: onnx.ModelProto) -> bytes:
    """Everything of a model but the metadata and texts of its nodes and its own metadata."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for op in walk(copy).ops:
        del op.node.metadata_props[:]
        op.node.doc_string = ""
    del copy.metadata_props[:]
    data: bytes = copy.SerializeToString(deterministic=True)
    return data


@pytest.fixture(name="step", params=sorted(registered()))
def _step(request: pytest.FixtureRequest) -> Pass:
    return registered()[request.param].load()()


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_every_pass(
    step: Pass, make: Callable[[], onnx.ModelProto], context: Callable[[onnx.ModelProto], Context]
) -> None:
    ctx = context(make())
    before = stripped(ctx.model)
    manager = PassManager([step], verify=True)
    manager.run_in(ctx)
    if not step.touches & Touches.TOPOLOGY:
        assert stripped(ctx.model) == before
    assert set(ctx.tags) <= set(ctx.ops)
    once = (ctx.model.SerializeToString(deterministic=True), dict(ctx.tags))
    manager.run_in(ctx)
    assert (ctx.model.SerializeToString(deterministic=True), ctx.tags) == once
    assert ctx.report.passes[-1].changed == 0
    # Its options are plain values, so that two of one kind compare equal.
    assert step == type(step)()


def test_our_passes_are_in_the_suite() -> None:
    assert {"match", "align", "inherit", "inject", "coverage"} <= set(registered())
