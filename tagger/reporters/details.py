"""Single nodes on the terminal: what is known of one, a line for each of many, and what two files do not share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_tagger.reporters.terminal import Screen, counted

if TYPE_CHECKING:
    from onnx_tagger.model.graph import Op
    from onnx_tagger.passes.base import Context
    from onnx_tagger.workflows.diffing import Difference
    from onnx_tagger.workflows.querying import Neighbour


def show_node(screen: Screen, ctx: Context, op: Op) -> None:
    """Print what is known of one node, and its neighbours with their modules."""
    from onnx_tagger.workflows.querying import (
        code_line,
        doc_line,
        inputs_of,
        module_of,
        name_of,
        outputs_of,
        own_problem,
    )

    tag = ctx.tags.get(op)
    rows = [("module", module_of(tag))]
    if tag is not None:
        rows += [("tag", tag.tag), ("source", tag.source.label)]
        rows += [("origin", path or "(root)") for path in tag.origins]
        rows += [("call", path) for path in tag.call]
    if problem := own_problem(op):
        rows.append(("note", f"its own keys do not hold: it {problem}"))
    if not op.scope.called:
        rows.append(("note", f"{op.scope.family} is never called"))
    if code := code_line(op):
        rows.append(("code", code))
    if doc := doc_line(op):
        rows.append(("doc", doc))
    rows += [("input", _neighbour_text(neighbour, "from")) for neighbour in inputs_of(ctx, op)]
    rows += [("output", _neighbour_text(neighbour, "to")) for neighbour in outputs_of(ctx, op)]
    # Only now, so that nothing is printed of a model whose data flow turns out to be none.
    screen.styled(f"{name_of(op)}  {op.label}", "bold")
    screen.lines(f"  {label:<7} {value}" for label, value in rows)


def _neighbour_text(neighbour: Neighbour, direction: str) -> str:
    if not neighbour.module:
        return f"{neighbour.tensor}, {neighbour.what}"
    return f"{neighbour.tensor}, {direction} {neighbour.what} -> {neighbour.module}"


def node_line(ctx: Context, op: Op) -> str:
    """One node in a line: ``name op -> module``."""
    from onnx_tagger.model.graph import operator
    from onnx_tagger.workflows.querying import module_of, name_of

    return f"{name_of(op)} {operator(op.node)} -> {module_of(ctx.tags.get(op))}"


def show_difference(screen: Screen, found: Difference, before: Context, after: Context, names: tuple[str, str]) -> None:
    """Print the nodes that only one model has, and those that differ with both values."""
    from onnx_tagger.model.graph import operator
    from onnx_tagger.workflows.querying import name_of

    screen.lines(f"only in {names[0]}: {node_line(before, op)}" for op in found.only_before)
    screen.lines(f"only in {names[1]}: {node_line(after, op)}" for op in found.only_after)
    for change in found.changed:
        values = "; ".join(f"{name} {one} -> {other}" for name, one, other in change.fields)
        screen.lines([f"{name_of(change.before)} {operator(change.before.node)}: {values}"])
    if found:
        counts = (len(found.only_before), len(found.only_after), len(found.changed))
        screen.note(f"{counts[0]} only in {names[0]}, {counts[1]} only in {names[1]}, {counts[2]} differ")
    else:
        screen.note(f"no differences in {counted(found.paired, 'node')}")
