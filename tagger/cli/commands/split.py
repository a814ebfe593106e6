"""`onnx-tagger split`: a model as stages that run one behind the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson, MapFile, Model, one_of


def command(
    model: Model,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder for the stages.", show_default=False)
    ],
    at: Annotated[
        str | None,
        typer.Option(metavar="STAGES", help="'embeddings | encoder.layer.{0..5} | **': the modules of each stage."),
    ] = None,
    balance: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="Find N stages that cost about the same.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="With --balance: what they cost.", **one_of(("bytes", "flops", "time")))
    ] = "bytes",
    profile: Annotated[
        Path | None,
        typer.Option(metavar="P.json", help="With --by time: a saved profile; the file is profiled now if left out."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Run the whole and the stages, and compare their outputs bit for bit.")
    ] = False,
    inputs: Annotated[
        Path | None, typer.Option(metavar="VALUES.npz", help="With --verify: what to run on, not random values.")
    ] = None,
    map_file: MapFile = None,
    as_json: AsJson = False,
) -> None:
    """Cut a model into stages, each a tagged file with its map; exit with 1 if --verify finds a difference."""
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.reporters.splitting import show_split
    from onnx_tagger.workflows.splitting.splitting import split

    screen = screen_of_run()
    with screen.progress("split"):
        made = split(
            model, output, at, balance=balance, by=by, profile=profile, map=map_file, verify=verify, inputs=inputs
        )
    if as_json:
        screen.raw(json_text(made))
    else:
        show_split(screen, made)
    raise typer.Exit(0 if made.ok else 1)
