"""`onnx-tagger stats`: counts by source, graph and module."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, save_tables, screen_of_run, show_table
from onnx_tagger.cli.options import (
    AsMarkdown,
    AsTsv,
    CsvFile,
    HtmlFile,
    MapFile,
    Measures,
    ModelOrUrl,
    TableForm,
    TableFormName,
)


def command(
    model: ModelOrUrl,
    measures: Measures = None,
    form: TableForm = TableFormName.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    as_tsv: AsTsv = False,
    as_markdown: AsMarkdown = False,
    html: HtmlFile = None,
    csv: CsvFile = None,
    map_file: MapFile = None,
) -> None:
    """Count nodes by source, graph and module, by whatever convention the file carries."""
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.reporters.summary import show_stats
    from onnx_tagger.workflows import checking
    from onnx_tagger.workflows.reading import read

    check_targets((html, csv), (model, map_file))
    screen = screen_of_run()
    tagged = read(model, map_file)
    table = tagged.table(dict.fromkeys(("nodes", "sources", *(measures or ()))))
    if as_json or form is TableFormName.JSON:
        screen.raw(json_text(checking.stats(model, map_file)))
    elif not show_table(screen, table, form, False, as_tsv, as_markdown):
        show_stats(screen, checking.count(tagged.context), table)
    save_tables(table, html, csv, title=PurePath(tagged.name).name)
