"""The report of an optimisation as a table in Markdown."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.optimising.optimised import Optimized
from onnx_tagger.reporters.optimising.rows import HEADERS, NUMBERS, rows_of, sentences_of


def render(found: Optimized, out: TextIO) -> None:
    """Write the table and what stands around it."""
    verdict, *others = sentences_of(found)
    out.write(f"**{_escaped(verdict)}**\n\n")
    out.write(f"| {' | '.join(HEADERS)} |\n")
    out.write(f"|{'|'.join('-:' if place in NUMBERS else '-' for place in range(len(HEADERS)))}|\n")
    for row in rows_of(found):
        out.write(f"| {' | '.join(_escaped(cell) for cell in row)} |\n")
    out.writelines(f"\n{_escaped(line)}\n" for line in others)


def _escaped(text: str) -> str:
    for mark in "\\`*_<>[]":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("|", "&#124;").replace("\n", " ")
