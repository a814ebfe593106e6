"""A comparison in Markdown, for summaries of jobs and for comments."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.comparison.comparison import Comparison
from onnx_tagger.reporters.comparison.text import HEADERS, cells, coverage, headline
from onnx_tagger.reporters.markdown import escaped


def render(comparison: Comparison, out: TextIO) -> None:
    """Write the headline, what differs, and the table by module."""
    out.write(f"**{escaped(headline(comparison))}**\n\n")
    out.writelines(f"- {escaped(text)}\n" for text in comparison.failures)
    out.write(f"\n| {' | '.join(HEADERS)} |\n|-|-:|-:|-:|-:|-|\n")
    out.writelines(f"| {' | '.join(map(escaped, row))} |\n" for row in cells(comparison))
    out.write(f"\n{escaped(coverage(comparison))}\n")
    out.writelines(f"- {escaped(module or '(root)')}: {escaped(why)}\n" for module, why in comparison.hidden.items())
