"""Rows of nodes: a line each for people, and the forms that other tools take."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.reporters.terminal import Screen, counted
from onnx_tagger.reporters.tsv import render_rows
from onnx_tagger.workflows.reading import COLUMNS, Node

# The fields of a node that are paths of modules.
_MODULES = ("module", "origins", "call")

Form = Literal["text", "json", "tsv", "names"]


def show_nodes(screen: Screen, rows: Sequence[Node], form: Form = "text") -> None:
    """Print nodes as lines, as a JSON list, as tab-separated values, or as names alone."""
    if form == "json":
        screen.raw(safe(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1)))
    elif form == "tsv":
        render_rows([COLUMNS, *map(cells_of, rows)], sys.stdout)
    elif form == "names":
        nameless = sum(not row.name for row in rows)
        screen.lines(row.name for row in rows if row.name)
        if nameless:
            screen.note(f"{counted(nameless, 'node')} without a name left out")
    else:
        screen.lines(f"{line_of(row)}{_how(row)}" for row in rows)


def cells_of(row: Node) -> list[str]:
    """The fields of a node as texts; lists are parted by commas, what there is none of is empty."""
    return [_cell(getattr(row, name), name in _MODULES) for name in COLUMNS]


def _cell(value: str | tuple[str, ...] | None, module: bool) -> str:
    # The root's path is empty, too, and must not pass for a module that is not known.
    texts = () if value is None else (value,) if isinstance(value, str) else value
    return ",".join(text or ("(root)" if module else "") for text in texts)


def line_of(row: Node) -> str:
    """One node in a line: ``name op -> module``."""
    kind = row.op if row.domain in ("", "ai.onnx") else f"{row.domain}::{row.op}"
    return f"{row.name or row.id} {kind} -> {row.shown}"


def _how(row: Node) -> str:
    if row.source is None:
        return ""
    origins = f", origins {', '.join(path or '(root)' for path in row.origins)}" if row.origins else ""
    rests = f", rests on {row.evidence}" if row.evidence else ""
    return f" ({row.source}{rests}{origins})"
