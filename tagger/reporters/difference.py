"""What two files do not share: a summary by module, then the nodes; for machines JSON or tab-separated values."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Literal

from onnx_tagger.measures.file import as_dict
from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.reporters.nodes import line_of
from onnx_tagger.reporters.terminal import Screen, counted
from onnx_tagger.reporters.tsv import render_rows
from onnx_tagger.workflows.diffing import Differences


def show_difference(screen: Screen, found: Differences, form: Literal["text", "json", "tsv"] = "text") -> None:
    """Print how many nodes of each module differ, the nodes that only one file has, and those that differ."""
    if form == "json":
        screen.raw(safe(_json(found)))
        return
    if form == "tsv":
        render_rows([("kind", "name", "op", "module", "field", "before", "after"), *_rows(found)], sys.stdout)
        return
    difference, (before, after) = found.difference, found.names
    if not difference:
        screen.note(f"no differences in {counted(difference.paired, 'node')}")
        return
    _summary(screen, found)
    screen.lines(f"only in {before}: {line_of(found.before.row(op))}" for op in difference.only_before)
    screen.lines(f"only in {after}: {line_of(found.after.row(op))}" for op in difference.only_after)
    for change in difference.changed:
        row = found.before.row(change.before)
        values = "; ".join(f"{name} {one} -> {other}" for name, one, other in change.fields)
        screen.lines([f"{line_of(row).rpartition(' -> ')[0]}: {values}"])
    counts = (len(difference.only_before), len(difference.only_after), len(difference.changed))
    screen.note(f"{counts[0]} only in {before}, {counts[1]} only in {after}, {counts[2]} differ")


def _summary(screen: Screen, found: Differences) -> None:
    """A row for each module that has nodes which differ, in the order of the tree."""
    table = found.by_module
    names = [column.name for column in table.columns]
    rows = [
        (*(str(int(row.own[name] or 0)) for name in names), row.module.shown if row.module is not None else "(none)")
        for row in table.rows
        if any(row.own.values())
    ]
    screen.table((*names, "module"), rows, numbers=range(len(names)))
    screen.lines([""])


def _json(found: Differences) -> str:
    difference = found.difference
    value = {
        "paired": difference.paired,
        "only_before": [asdict(found.before.row(op)) for op in difference.only_before],
        "only_after": [asdict(found.after.row(op)) for op in difference.only_after],
        "changed": [
            {
                "before": asdict(found.before.row(change.before)),
                "after": asdict(found.after.row(change.after)),
                "fields": {name: [one, other] for name, one, other in change.fields},
            }
            for change in difference.changed
        ],
        "by_module": as_dict(found.by_module),
    }
    return json.dumps(value, ensure_ascii=False, indent=1)


def _rows(found: Differences) -> Iterator[tuple[str, ...]]:
    difference = found.difference
    for kind, tagged, ops in (
        ("only before", found.before, difference.only_before),
        ("only after", found.after, difference.only_after),
    ):
        for row in map(tagged.row, ops):
            yield kind, row.name or row.id, row.op, row.shown, "", "", ""
    for change in difference.changed:
        row = found.before.row(change.before)
        for field, one, other in change.fields:
            yield "changed", row.name or row.id, row.op, row.shown, field, one, other
