"""A report on the terminal: coverage with its split by source, counts, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_tagger.measures.fragment import title
from onnx_tagger.measures.shown import shown
from onnx_tagger.reporters.terminal import Screen, counted

if TYPE_CHECKING:
    from onnx_tagger.measures.table import ModuleTable, Row
    from onnx_tagger.model.report import Report


def show_stats(screen: Screen, report: Report, table: ModuleTable) -> None:
    """Print coverage with its split by source, then the nodes by graph and by module.

    Parameters
    ----------
    screen : Screen
    report : Report
    table : ModuleTable
        With the column `nodes`; columns that are 0 throughout are left out.
    """
    screen.styled(report.split(), "bold")
    if report.origins:
        screen.lines([f"{counted(report.origins, 'node')} with the work of several modules"])
    if len(report.by_graph) > 1:
        screen.table(("nodes", "graph"), [(str(n), name) for name, n in report.by_graph.items()], numbers=(0,))
    rows = [row for row in table.rows if row.own["nodes"]]
    if rows:
        columns = [column for column in table.columns if any(row.own[column.name] for row in rows)]
        cells = [(*(shown(row.own[column.name]) for column in columns), _tag_of(row)) for row in rows]
        screen.table((*map(title, columns), "tag"), cells, numbers=range(len(columns)))
    show_notes(screen, report)


def _tag_of(row: Row) -> str:
    return "(no tag)" if row.module is None else row.module.tag or row.module.shown


def show_notes(screen: Screen, report: Report) -> None:
    """Print on stderr what was not done in the first way, and what passes have to say."""
    for text in (*report.fallbacks, *report.notes):
        screen.note(f"note: {text}")
