"""A comparison as workflow commands of GitHub: an error for each module that differs, and a summary."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.comparison.comparison import Comparison
from onnx_tagger.reporters.comparison.text import coverage, headline
from onnx_tagger.reporters.github import annotation

_TITLE = "onnx-tagger compare"

# GitHub shows no more of a step.
_SHOWN = 50


def render(comparison: Comparison, out: TextIO) -> None:
    """Write an annotation for each module that differs, up to 50, and one that sums them up."""
    for sentence in comparison.failures[:_SHOWN]:
        out.write(annotation("error", comparison.file, _TITLE, sentence))
    level = "notice" if comparison.ok else "error"
    summary = f"{headline(comparison)}; {coverage(comparison)}"
    out.write(annotation(level, comparison.file, f"{_TITLE}: summary", summary))
