"""`onnx-tagger extract`: modules of a file as files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson, MapFile, Model, Values, one_of

EPILOG = "For example: onnx-tagger extract bert.onnx encoder.layer.0 -o layer0.onnx --verify"


def command(
    model: Model,
    module: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE]",
            help="A path, a tag, or a pattern (* within one part of a path, ** across them, <Class> by class), which "
            "gives a file for each module. Not with --keep and --drop.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="S.onnx|DIR", help="The file, or the folder for those of a pattern."),
    ] = ...,  # type: ignore[assignment]
    call: Annotated[
        int | None, typer.Option(metavar="K", min=0, help="Which call, of a module that is called several times.")
    ] = None,
    fused: Annotated[
        str,
        typer.Option(help="Nodes that do work of modules outside, too.", **one_of(("include", "exclude"))),
    ] = "include",
    names: Annotated[
        str,
        typer.Option(
            help="torch: call inputs after the modules that compute them, and outputs output; file: as the file does.",
            **one_of(("torch", "file")),
        ),
    ] = "torch",
    back: Annotated[
        str,
        typer.Option(
            help="If what the module computes comes back to it through others: refuse it, or drop the nodes at fault.",
            **one_of(("refuse", "drop")),
        ),
    ] = "refuse",
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Filter by tag: keep the nodes of these modules; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Filter by tag: leave out the nodes of these modules; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --keep or --drop: write what may not run, for a look at the graph.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Run the whole file and the part, and compare them bit for bit.")
    ] = False,
    values: Values = None,
    map_file: MapFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a module to a file of its own, which runs; exit with 1 if --verify finds a difference."""
    from onnx_tagger.errors import TaggerError
    from onnx_tagger.reporters.cutting import show_extraction, show_filtered
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.workflows.cutting.extracting import Extraction, extract
    from onnx_tagger.workflows.cutting.filtering import Filtered, filter_nodes

    if (module is None) == (keep is None and drop is None):
        raise TaggerError("either a module is extracted, or nodes are filtered: give MODULE, or --keep and --drop")
    screen = screen_of_run()
    made: Extraction | Filtered
    if module is None:
        made = filter_nodes(model, output, keep=keep or (), drop=drop or (), force=force, map=map_file)
    else:
        made = extract(
            model,
            module,
            output,
            call=call,
            fused=fused,
            names=names,
            back=back,
            map=map_file,
            verify=verify,
            inputs=values,
        )
    if as_json:
        screen.raw(json_text(made))
    elif isinstance(made, Extraction):
        show_extraction(screen, made)
    else:
        show_filtered(screen, made)
    raise typer.Exit(0 if made.ok else 1)
