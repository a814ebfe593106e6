"""`onnx-tagger diff`: what two files do not share."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, save_tables, screen_of_run, show_table
from onnx_tagger.cli.options import AsJson, AsMarkdown, AsTsv, CsvFile, HtmlFile, TableFormName, Under


def command(
    before: Annotated[str, typer.Argument(metavar="A.onnx", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B.onnx", show_default=False)],
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Do not compare module, tag, source, origins or call; repeatable."),
    ] = None,
    under: Under = None,
    as_json: AsJson = False,
    as_tsv: AsTsv = False,
    as_markdown: AsMarkdown = False,
    html: HtmlFile = None,
    csv: CsvFile = None,
) -> None:
    """Compare the nodes of two files and their tags; exit with 1 if they differ."""
    from onnx_tagger.reporters.difference import show_difference
    from onnx_tagger.workflows.diffing import differences
    from onnx_tagger.workflows.reading import read

    check_targets((html, csv), (before, after))
    found = differences(read(before), read(after), ignore or (), under or None)
    screen = screen_of_run()
    if as_markdown:
        show_table(screen, found.by_module, TableFormName.MARKDOWN)
    else:
        show_difference(screen, found, "json" if as_json else "tsv" if as_tsv else "text")
    save_tables(found.by_module, html, csv, title=" and ".join(PurePath(name).name for name in found.names))
    raise typer.Exit(1 if found.difference else 0)
