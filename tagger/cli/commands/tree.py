"""`onnx-tagger tree`: the module tree of a file."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, save_tables, screen_of_run, show_table
from onnx_tagger.cli.options import (
    AsJson,
    AsMarkdown,
    AsTsv,
    CsvFile,
    HtmlFile,
    MapFile,
    Measures,
    ModelOrUrl,
    TableForm,
    TableFormName,
    Under,
)


def command(
    model: ModelOrUrl,
    depth: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Levels below the root, or MODULE, to show.")
    ] = None,
    under: Under = None,
    map_file: MapFile = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="A.onnx", help="The file that M.onnx was made of: how many nodes came in, and are left."),
    ] = None,
    measures: Measures = None,
    form: TableForm = TableFormName.TEXT,
    as_json: AsJson = False,
    as_tsv: AsTsv = False,
    as_markdown: AsMarkdown = False,
    html: HtmlFile = None,
    csv: CsvFile = None,
) -> None:
    """Show the module tree with the number of nodes of each module."""
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.reporters.tree import show_tree
    from onnx_tagger.workflows.reading import read

    check_targets((html, csv), (model, map_file, before))
    columns = dict.fromkeys(("nodes", "fused", *(measures or ())))
    tagged, screen = read(model, map_file), screen_of_run()
    earlier = read(before, map_file) if before is not None else None
    table = tagged.table(columns)
    if earlier is not None:
        table = earlier.table(columns).compare(table)
    shown = table.filter(under or None, depth=depth)
    if not show_table(screen, shown, form, as_json, as_tsv, as_markdown):
        bare = next(
            ((file, found) for file, found in ((before, earlier), (model, tagged)) if found and not found.context.tags),
            None,
        )
        if bare is not None and not under:
            screen.lines([f"{bare[1].name}: no tags on {counted(len(bare[1].measured.ops), 'node')}"])
        else:
            show_tree(screen, table.filter(under) if under else table, depth)
    save_tables(shown, html, csv, title=PurePath(tagged.name).name)
