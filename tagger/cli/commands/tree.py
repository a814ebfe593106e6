"""`onnx-tagger tree`: the module tree of a file."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run, show_table
from onnx_tagger.cli.options import AsJson, AsTsv, MapFile, Measures, ModelOrUrl, TableForm, TableFormName, Under


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
) -> None:
    """Show the module tree with the number of nodes of each module."""
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.reporters.tree import show_tree
    from onnx_tagger.workflows.reading import read

    columns = dict.fromkeys(("nodes", "fused", *(measures or ())))
    tagged, screen = read(model, map_file), screen_of_run()
    earlier = read(before, map_file) if before is not None else None
    for found in (earlier, tagged):
        if (
            found is not None
            and not found.context.tags
            and form is TableFormName.TEXT
            and not (as_json or as_tsv or under)
        ):
            screen.lines([f"{found.name}: no tags on {counted(len(found.measured.ops), 'node')}"])
            return
    table = tagged.table(columns)
    if earlier is not None:
        table = earlier.table(columns).compare(table)
    if not show_table(screen, table.filter(under or None, depth=depth), form, as_json, as_tsv):
        show_tree(screen, table.filter(under) if under else table, depth)
