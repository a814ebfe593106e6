"""All that is known of single nodes: for people a block of lines each, for machines JSON or tab-separated values."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Literal

from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.reporters.tsv import render_rows
from onnx_tagger.workflows.querying import Details, Neighbour


def show_details(screen: Screen, found: Sequence[Details], form: Literal["text", "json", "tsv"] = "text") -> None:
    """Print what is known of nodes, and their neighbours with their modules."""
    if form == "json":
        screen.raw(safe(json.dumps([asdict(details) for details in found], ensure_ascii=False, indent=1)))
    elif form == "tsv":
        header = ("node", "field", "value")
        rows = ((details.id, field, value) for details in found for field, value in _fields(details))
        render_rows([header, *rows], sys.stdout)
    else:
        for details in found:
            screen.styled(f"{details.name or details.id}  {details.label}", "bold")
            screen.lines(f"  {field:<7} {value}" for field, value in _fields(details))


def _fields(details: Details) -> Iterator[tuple[str, str]]:
    yield "module", details.shown
    if details.tag is not None and details.source is not None:
        yield "tag", details.tag
        yield "source", details.source
    if details.evidence is not None:
        yield "rests on", details.evidence
    yield from (("origin", path or "(root)") for path in details.origins)
    yield from (("call", path) for path in details.call)
    yield from (("note", text) for text in details.notes)
    if details.code:
        yield "code", details.code
    if details.doc:
        yield "doc", details.doc
    yield from (("input", _text(neighbour, "from")) for neighbour in details.inputs)
    yield from (("output", _text(neighbour, "to")) for neighbour in details.outputs)


def _text(neighbour: Neighbour, direction: str) -> str:
    if not neighbour.module:
        return f"{neighbour.tensor}, {neighbour.what}"
    return f"{neighbour.tensor}, {direction} {neighbour.what} -> {neighbour.module}"
