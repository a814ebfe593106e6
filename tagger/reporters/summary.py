"""A report on the terminal: coverage with its split by source, counts, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_tagger.reporters.terminal import Screen, counted

if TYPE_CHECKING:
    from onnx_tagger.model.report import Report


def show_stats(screen: Screen, report: Report) -> None:
    """Print coverage with its split by source, then the nodes by graph and by tag."""
    screen.styled(report.split(), "bold")
    if report.origins:
        screen.lines([f"{counted(report.origins, 'node')} with the work of several modules"])
    if len(report.by_graph) > 1:
        screen.table(("nodes", "graph"), [(str(n), name) for name, n in report.by_graph.items()], numbers=(0,))
    if report.tags:
        screen.table(("nodes", "tag"), [(str(n), name) for name, n in report.tags.items()], numbers=(0,))
    show_notes(screen, report)


def show_notes(screen: Screen, report: Report) -> None:
    """Print on stderr what was not done in the first way, and what passes have to say."""
    for text in (*report.fallbacks, *report.notes):
        screen.note(f"note: {text}")
