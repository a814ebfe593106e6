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
    values = (getattr(row, name) for name in COLUMNS)
    return ["" if v is None else v if isinstance(v, str) else ",".join(v) for v in values]


def line_of(row: Node) -> str:
    """One node in a line: ``name op -> module``."""
    kind = row.op if row.domain in ("", "ai.onnx") else f"{row.domain}::{row.op}"
    return f"{row.name or row.id} {kind} -> {row.shown}"


def _how(row: Node) -> str:
    if row.source is None:
        return ""
    origins = f", origins {', '.join(path or '(root)' for path in row.origins)}" if row.origins else ""
    return f" ({row.source}{origins})"
