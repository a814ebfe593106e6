"""`onnx-tagger splice`: a module put back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson, MapFile, Model, Values, one_of

EPILOG = "For example: onnx-tagger splice bert.onnx encoder.layer.0 layer0.int8.onnx -o mixed.onnx --verify"


def command(
    model: Model,
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="The path or tag of the module to replace.", show_default=False)
    ],
    part: Annotated[
        Path, typer.Argument(metavar="S.onnx", help="What was made of the extracted module.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.")],
    call: Annotated[
        int | None, typer.Option(metavar="K", min=0, help="Which call, as the module was extracted.")
    ] = None,
    fused: Annotated[
        str, typer.Option(help="As the module was extracted.", **one_of(("include", "exclude")))
    ] = "include",
    back: Annotated[str, typer.Option(help="As the module was extracted.", **one_of(("refuse", "drop")))] = "refuse",
    verify: Annotated[bool, typer.Option("--verify", help="Run both files and compare their outputs.")] = False,
    values: Values = None,
    map_file: MapFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a module back that was optimised, quantised or rewritten; exit with 1 if --verify finds it too far off."""
    from onnx_tagger.reporters.cutting import show_splice
    from onnx_tagger.reporters.jsonform import json_text
    from onnx_tagger.workflows.cutting.splicing import splice

    screen = screen_of_run()
    made = splice(
        model, module, part, output, call=call, fused=fused, back=back, map=map_file, verify=verify, inputs=values
    )
    if as_json:
        screen.raw(json_text(made))
    else:
        show_splice(screen, made)
    raise typer.Exit(0 if made.ok else 1)
