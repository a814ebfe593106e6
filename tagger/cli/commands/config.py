"""`onnx-tagger config`: the settings that are in force, and where each comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run, settings_of
from onnx_tagger.cli.options import ConfigFile, NoConfig, one_of


def command(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[M.onnx]", help="Show what holds for this file.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    no_config: NoConfig = False,
    form: Annotated[str, typer.Option("--format", help="How they are printed.", **one_of(("text", "json")))] = "text",
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the table and stop.")] = False,
) -> None:
    """Print the settings of check that are in force, each with the place that it comes from."""
    from onnx_tagger.reporters import settings as reporter
    from onnx_tagger.reporters.jsonform import safe
    from onnx_tagger.workflows.gate.configuring import json_schema

    screen = screen_of_run()
    if schema:
        screen.raw(json_schema())
        return
    settings = settings_of(config, no_config)
    found = settings.in_force({}, file).values()
    if form == "json":
        screen.raw(safe(reporter.as_json(found, settings)))
        return
    screen.table(("setting", "value", "from"), reporter.rows(found))
    if file is None:
        screen.lines(reporter.exceptions(settings))
