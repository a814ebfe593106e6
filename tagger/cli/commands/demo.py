"""`onnx-tagger demo`: the whole way on a small BERT, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    screen_of_run,
)


def command(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the files in this new or empty folder.")
    ] = None,
) -> None:
    """Show the whole way on a small BERT, offline: export, tag, optimise, re-tag, check."""
    import tempfile

    from onnx_tagger.cli.demo import check_folder, demo

    if keep is not None:
        check_folder(keep)
        demo(keep, screen_of_run())
        return
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        demo(Path(folder), screen_of_run())
