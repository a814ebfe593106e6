"""A placement for people: the option to paste, what each rule does, what crosses, and what no rule covers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from onnx_tagger.measures.shown import shown
from onnx_tagger.reporters.terminal import Screen, counted

if TYPE_CHECKING:
    from onnx_tagger.workflows.placing.placing import Placement

# Modules that no rule covers are listed up to so many.
_LISTED = 8


def show_placement(screen: Screen, placement: Placement, option: str) -> None:
    """Print the option, a table of the rules, one of what crosses, and remarks."""
    screen.lines([f"{option} = {placement.setting}" if placement.setting else f"{option}: nothing to set", ""])
    rows = [
        (placed.rule.text, _listed(placed.rule.annotations), str(placed.nodes), str(placed.bytes))
        for placed in placement.rules
    ]
    screen.table(("rule", "annotations", "nodes", "bytes"), rows, numbers=(2, 3))
    if placement.crossing:
        screen.lines([""])
        crossing = [
            (
                one.source or "(no rule)",
                one.target or "(no rule)",
                str(len(one.tensors)),
                _bytes(one.bytes, one.unknown),
            )
            for one in placement.crossing
        ]
        screen.table(("from", "to", "tensors", "bytes"), crossing, numbers=(2, 3))
    screen.lines(["", *_remarks(placement)])


def _listed(texts: tuple[str, ...]) -> str:
    """The first two, and how many more there are."""
    more = f" and {len(texts) - 2} more" if len(texts) > 2 else ""
    return ", ".join(texts[:2]) + more


def _bytes(known: int, unknown: int) -> str:
    if not unknown:
        return shown(float(known))
    return f"{shown(float(known))} and {unknown} unknown" if known else f"{unknown} unknown"


def _remarks(placement: Placement) -> Iterator[str]:
    covered = len(placement.devices)
    yield f"{covered} of {counted(placement.nodes, 'node')} go by a rule; onnxruntime places the others as it would"
    if placement.uncovered:
        listed = [f"{name or '(no tag)'} {count}" for name, count in placement.uncovered[:_LISTED]]
        rest = len(placement.uncovered) - _LISTED
        yield f"no rule: {', '.join(listed)}" + (f" and {rest} more modules" if rest > 0 else "")
    yield from (f"does nothing: {text}" for text in placement.failures)
