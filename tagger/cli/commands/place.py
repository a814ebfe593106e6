"""`onnx-tagger place`: what onnxruntime's layer assignment settings will do with a file."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, save_tables, screen_of_run, show_table
from onnx_tagger.cli.options import CsvFile, HtmlFile, MapFile, ModelOrUrl, TableForm, TableFormName


def command(
    model: ModelOrUrl,
    rules: Annotated[
        str,
        typer.Argument(
            metavar="RULES",
            help="'gpu(encoder.layer.0); cpu(embeddings, pooler)': modules, tags or patterns by device.",
            show_default=False,
        ),
    ],
    map_file: MapFile = None,
    form: TableForm = TableFormName.TEXT,
    html: HtmlFile = None,
    csv: CsvFile = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Load the file in onnxruntime, and compare where it puts the nodes."),
    ] = False,
    plugin: Annotated[
        str | None,
        typer.Option(
            metavar="[NAME=]LIB", help="With --verify: the library of a plug-in execution provider to load, too."
        ),
    ] = None,
) -> None:
    """Predict which nodes onnxruntime puts where by placement rules; exit with 1 if a rule does nothing."""
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.reporters.placing import show_placement
    from onnx_tagger.workflows.placing.placing import OPTION, place
    from onnx_tagger.workflows.placing.verifying import verify as verify_placement

    check_targets((html, csv), (model, map_file))
    screen = screen_of_run()
    placement = place(model, rules, map=map_file)
    held = verify_placement(placement, plugin) if verify or plugin is not None else None
    save_tables(placement.modules, html, csv, title=PurePath(model).name)
    if form is TableFormName.JSON:
        screen.raw(json_text(placement))
    elif not show_table(screen, placement.modules, form):
        show_placement(screen, placement, OPTION)
    if not placement.annotated:
        screen.note(
            f"{model}: carries no annotations, which onnxruntime goes by; this is what it will do once "
            "onnx-tagger retag --also layer_ann has written them"
        )
    if held is not None:
        for text in (held.summary, *held.failures):
            screen.note(text)
    raise typer.Exit(0 if placement.ok and (held is None or held.ok) else 1)
