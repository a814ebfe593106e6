"""`onnx-tagger diff`: what two files do not share."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson, AsTsv, Under


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
) -> None:
    """Compare the nodes of two files and their tags; exit with 1 if they differ."""
    from onnx_tagger.reporters.difference import show_difference
    from onnx_tagger.workflows.diffing import differences
    from onnx_tagger.workflows.reading import read

    found = differences(read(before), read(after), ignore or (), under or None)
    show_difference(screen_of_run(), found, "json" if as_json else "tsv" if as_tsv else "text")
    raise typer.Exit(1 if found.difference else 0)
