"""The report of an optimisation for a terminal."""

from __future__ import annotations

from onnx_tagger.measures.optimising.optimised import Optimized
from onnx_tagger.reporters.optimising.rows import HEADERS, NUMBERS, rows_of, sentences_of
from onnx_tagger.reporters.terminal import Screen


def show(screen: Screen, found: Optimized) -> None:
    """Print the table of tries, and the verdict below it."""
    screen.table(HEADERS, rows_of(found), numbers=NUMBERS)
    screen.lines(sentences_of(found))
