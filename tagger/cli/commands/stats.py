"""`onnx-tagger stats`: counts by source, graph and module."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import StringIO
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
    Models,
    TableForm,
    TableFormName,
)
from onnx_tagger.errors import TaggerError


def command(
    models: Models,
    measures: Measures = None,
    form: TableForm = TableFormName.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    as_tsv: AsTsv = False,
    as_markdown: AsMarkdown = False,
    html: HtmlFile = None,
    csv: CsvFile = None,
    map_file: MapFile = None,
) -> None:
    """Count nodes by source, graph and module, by whatever convention the file carries; many files a line each."""
    from onnx_tagger.files.gathering import gather, names_many
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.reporters.summary import show_stats
    from onnx_tagger.workflows import checking
    from onnx_tagger.workflows.reading import read

    files = gather(models, sys.stdin if "-" in models else ())
    if names_many(models):
        if html is not None or csv is not None or measures:
            raise TaggerError(
                "--html, --csv and --measure show the modules of one file; name one, or take --format csv"
            )
        name = "json" if as_json else "tsv" if as_tsv else "markdown" if as_markdown else form.value
        raise typer.Exit(_count_many(files, map_file, name))
    (model,) = files
    check_targets((html, csv), (model, map_file))
    screen = screen_of_run()
    tagged = read(model, map_file)
    table = tagged.table(dict.fromkeys(("nodes", "sources", *(measures or ()))))
    if as_json or form is TableFormName.JSON:
        screen.raw(json_text(checking.stats(model, map_file)))
    elif not show_table(screen, table, form, False, as_tsv, as_markdown):
        show_stats(screen, checking.count(tagged.context), table)
    save_tables(table, html, csv, title=PurePath(tagged.name).name)


def _count_many(files: Sequence[str], map_file: str | None, form: str) -> int:
    """Count files, a line each, and return the exit code: 2 if one cannot be read."""
    from onnx_tagger.model.counted import FileCounts
    from onnx_tagger.reporters import counted
    from onnx_tagger.workflows import checking, many

    if form not in counted.FORMS:
        raise TaggerError(
            f"--format {form} shows the modules of one file; name one, or take {', '.join(counted.FORMS)}"
        )
    screen = screen_of_run()
    tree = checking.load_map(map_file) if map_file is not None else None
    found = []
    with screen.progress("stats") as progress:
        for each in many.over_files(files, lambda file: checking.stats(file, tree)):
            progress(each.file)
            found.append(each)
    text, counts = StringIO(), FileCounts(tuple(found))
    counted.render(counts, form, text)
    screen.raw(text.getvalue())
    return 0 if counts.ok else 2
