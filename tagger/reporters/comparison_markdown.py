"""A comparison in Markdown, for summaries of jobs and for comments."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.comparison import Comparison
from onnx_tagger.reporters.comparison import cells, coverage, headline, rows_with_tensors
from onnx_tagger.reporters.markdown import escaped


def render(comparison: Comparison, out: TextIO) -> None:
    """Write the headline, what differs, and the table by module."""
    out.write(f"**{escaped(headline(comparison))}**\n\n")
    out.writelines(f"- {escaped(text)}\n" for text in comparison.failures)
    out.write("\n| module | local | accumulated | allowed | tensors | |\n|-|-:|-:|-:|-:|-|\n")
    for row in rows_with_tensors(comparison):
        out.write(f"| {' | '.join(escaped(cell) for cell in cells(comparison, row))} |\n")
    out.write(f"\n{escaped(coverage(comparison))}\n")
    out.writelines(f"- {escaped(module or '(root)')}: {escaped(why)}\n" for module, why in comparison.hidden.items())
