"""Repetition: what a tagged counterpart tells, translated; silence where they disagree or neighbours do not tell."""

from __future__ import annotations

import onnx
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.repetition import Repetition

BLOCK = {"up": "Up", "act": "Act", "down": "Down"}
# What a block does: operator and the child that does it.
STEPS = (("Gemm", "up"), ("Relu", "act"), ("Tanh", "act"), ("MatMul", "down"))


def tree(count: int = 5, **more: str) -> HierarchyMap:
    rows = [ModuleRow("", "Net"), ModuleRow("layers", "ModuleList", False, True)]
    for index in range(count):
        rows.append(ModuleRow(f"layers.{index}", "Block"))
        rows.extend(ModuleRow(f"layers.{index}.{name}", kind) for name, kind in (BLOCK | more).items())
    return HierarchyMap.from_rows(rows)


def stack(
    hierarchy: HierarchyMap, steps: tuple[tuple[str, str], ...], hidden: set[tuple[int, int]], count: int = 3
) -> Context:
    """A chain of blocks; of the hidden ones (block, step) no tag is known."""
    made, tags = [], []
    for block in range(count):
        for step, (kind, child) in enumerate(steps):
            place = len(made)
            made.append(
                helper.make_node(kind, [f"h{place}", "w"][: 2 if kind in ("Gemm", "MatMul") else 1], [f"h{place + 1}"])
            )
            tags.append(None if (block, step) in hidden else f"layers.{block}.{child}")
    x, y = (helper.make_tensor_value_info(name, 1, None) for name in ("h0", f"h{len(made)}"))
    weight = helper.make_tensor("w", 1, [1], [1.0])
    ctx = Context(helper.make_model(onnx.helper.make_graph(made, "g", [x], [y], [weight])), hierarchy)
    ctx.tags.update({op: hierarchy.tag(path, Source.EXPORTED) for op, path in zip(ctx.ops, tags, strict=True) if path})
    return ctx


def told(ctx: Context) -> list[str]:
    assert ctx.hierarchy is not None
    return list(Repetition(ctx.ops, ctx.tags, ctx.hierarchy, ctx.get(DataFlow)).modules().values())


def test_a_counterpart_in_another_block_tells() -> None:
    assert told(stack(tree(), STEPS, {(1, 1)})) == ["layers.1.act"]


def test_neighbours_that_are_hidden_too_do_no_harm() -> None:
    assert told(stack(tree(), STEPS, {(1, 1), (1, 2)})) == ["layers.1.act", "layers.1.act"]


def test_the_tag_is_never_carried_over_as_it_is() -> None:
    """Without a neighbour that tells the block, nothing is said."""
    everything = {(1, step) for step in range(len(STEPS))}
    found = told(stack(tree(), STEPS, everything))
    assert not any(path.startswith(("layers.0", "layers.2")) for path in found)


def test_siblings_of_one_class_are_not_guessed() -> None:
    """The blocks' two `Act` could both be meant where only the block is known."""
    hierarchy = tree(more="Act")
    ctx = stack(hierarchy, STEPS, {(1, 1), (1, 2)})
    for op in ctx.ops[4:8]:
        if op in ctx.tags:
            ctx.tags[op] = hierarchy.tag("layers.1", Source.EXPORTED)
    for op in (*ctx.ops[:4], *ctx.ops[8:]):
        if op.node.op_type in ("Gemm", "MatMul"):
            ctx.tags[op] = hierarchy.tag(ctx.tags[op].module.rpartition(".")[0], Source.EXPORTED)
    assert told(ctx) == []


def test_counterparts_that_disagree_tell_nothing() -> None:
    hierarchy = tree()
    ctx = stack(hierarchy, STEPS, {(2, 1)}, count=5)
    assert told(ctx) == ["layers.2.act"]
    ctx.tags[ctx.ops[5]] = hierarchy.tag("layers.1.down", Source.EXPORTED)
    assert told(ctx) == []


def test_inherit_takes_it_and_can_do_without() -> None:
    for repetition, expected in ((True, "layers.1.act"), (False, "layers.1")):
        ctx = stack(tree(), STEPS, {(1, 1)})
        PassManager([Inherit(repetition=repetition)], verify=True).run_in(ctx)
        ctx_tag = ctx.tags[ctx.ops[5]]
        assert (ctx_tag.module, ctx_tag.source) == (expected, Source.INHERITED)
