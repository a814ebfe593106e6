"""`onnx-tagger functions`: modules as local functions of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, screen_of_run
from onnx_tagger.cli.options import MapFile, Model


def command(
    model: Model,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="F.onnx", help="The file to write.", show_default=False)
    ],
    depth: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Levels below the root whose modules become functions.")
    ] = None,
    no_share: Annotated[
        bool, typer.Option("--no-share", help="A function for each module, also for equal ones.")
    ] = False,
    inline: Annotated[
        bool, typer.Option("--inline", help="The way back: a flat file of one with such functions.")
    ] = False,
    map_file: MapFile = None,
) -> None:
    """Make modules local functions, so that viewers show the model module by module; equal modules share one."""
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.workflows.functions import functions

    check_targets((output,), (model, map_file))
    made = functions(model, output, hierarchy=map_file, depth=depth, share=not no_share, inline=inline)
    screen = screen_of_run()
    nodes = f"{made.nodes_before} -> {counted(made.nodes_after, 'node')} in the main graph"
    if inline:
        screen.summary(f"{output}: {nodes}, no modules as functions")
        return
    calls = counted(sum(made.calls.values()), "call")
    screen.summary(f"{output}: {nodes}, {counted(len(made.calls), 'function')} with {calls}")
    for left in made.left:
        screen.note(f"in line: {left.module}: {left.why}")
