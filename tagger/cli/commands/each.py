"""`onnx-tagger each`: a tool applied module by module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, screen_of_run
from onnx_tagger.cli.options import AsJson, MapFile, Model, one_of

EPILOG = "For example: onnx-tagger each bert.onnx --modules 'encoder.layer.*' -o out.onnx -- onnxslim {in} {out}"


def command(
    model: Model,
    tool: Annotated[
        list[str],
        typer.Argument(
            metavar="TOOL",
            help="Behind --, the tool's command line; {in} and {out} in it stand for the paths of a module and of what "
            "the tool makes of it.",
            show_default=False,
        ),
    ],
    modules: Annotated[str, typer.Option(metavar="GLOB", help="The modules; of nested ones the outer.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.")],
    gain: Annotated[
        str,
        typer.Option(
            help="What a module has to be to be put back, besides equal.",
            **one_of(("either", "faster", "smaller", "both", "any")),
        ),
    ] = "either",
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", min=0, help="How far the model's outputs may be apart, as a share of their size."
        ),
    ] = None,
    fused: Annotated[
        str, typer.Option(help="Nodes that do work of modules outside, too.", **one_of(("include", "exclude")))
    ] = "include",
    runs: Annotated[int, typer.Option(metavar="N", min=4, help="How often each module is timed.")] = 20,
    values: Annotated[
        Path | None, typer.Option("--inputs", metavar="VALUES.npz", help="What to run on, not random values.")
    ] = None,
    map_file: MapFile = None,
    as_json: AsJson = False,
) -> None:
    """Give each module to a tool; put back what is equal and faster or smaller, and say what each gained."""
    from onnx_tagger.reporters.cutting import show_improvement
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.workflows.carrying import Command
    from onnx_tagger.workflows.cutting.improving import each

    command = Command(tool)
    check_targets([output], [model, map_file, values])
    screen = screen_of_run()
    with screen.progress("each"):
        made = each(
            model,
            modules,
            output,
            command,
            gain=gain,
            tolerance=tolerance,
            fused=fused,
            map=map_file,
            inputs=values,
            runs=runs,
        )
    if as_json:
        screen.raw(json_text(made))
    else:
        show_improvement(screen, made)
