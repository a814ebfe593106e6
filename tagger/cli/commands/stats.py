"""`onnx-tagger stats`: counts by source, graph and module."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import MapFile, Model


def command(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    map_file: MapFile = None,
) -> None:
    """Count nodes by source, graph and tag, by whatever convention the file carries."""
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.reporters.summary import show_stats
    from onnx_tagger.workflows import checking

    screen = screen_of_run()
    report = checking.stats(model, map_file)
    if as_json:
        screen.raw(json_text(report))
    else:
        show_stats(screen, report)
