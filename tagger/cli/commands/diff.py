"""`onnx-tagger diff`: what two files do not share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import read_tagged, screen_of_run


def command(
    before: Annotated[Path, typer.Argument(metavar="A.onnx", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B.onnx", show_default=False)],
) -> None:
    """Compare the nodes of two files and their tags; exit with 1 if they differ."""
    from onnx_tagger.reporters.details import show_difference
    from onnx_tagger.workflows.diffing import diff

    left, right = read_tagged(before), read_tagged(after)
    found = diff(left, right)
    show_difference(screen_of_run(), found, left, right, (str(before), str(after)))
    raise typer.Exit(1 if found else 0)
