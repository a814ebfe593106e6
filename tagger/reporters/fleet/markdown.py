"""A fleet's summary as Markdown, for a page of a repository or a job's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from onnx_tagger.reporters.fleet.text import headline, tables
from onnx_tagger.reporters.markdown import escaped

if TYPE_CHECKING:
    from onnx_tagger.model.fleetsummary import Summary


def render(summary: Summary, out: TextIO) -> None:
    """Write the summary as Markdown."""
    out.write(f"**{escaped(headline(summary))}**\n")
    for title, headers, rows in tables(summary):
        out.write(f"\n### {title}\n\n| {' | '.join(headers)} |\n|{'-|' * len(headers)}\n")
        for row in rows:
            out.write(f"| {' | '.join(map(escaped, row))} |\n")
