"""`onnx-tagger tree`: the module tree of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import read_tagged, screen_of_run
from onnx_tagger.cli.options import MapFile, Model


def command(
    model: Model,
    depth: Annotated[int | None, typer.Option(metavar="N", min=0, help="Levels below the root to show.")] = None,
    map_file: MapFile = None,
    before: Annotated[
        Path | None,
        typer.Option(metavar="A.onnx", help="The file that M.onnx was made of: how many nodes came in, and are left."),
    ] = None,
) -> None:
    """Show the module tree with the number of nodes of each module."""
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.reporters.tree import show_tree
    from onnx_tagger.workflows.querying import compared_tree, module_tree

    ctx, screen = read_tagged(model, map_file), screen_of_run()
    earlier = read_tagged(before, map_file) if before is not None else None
    for file, read in ((before, earlier), (model, ctx)):
        if read is not None and not read.tags:
            screen.lines([f"{file}: no tags on {counted(len(read.walk.counted), 'node')}"])
            return
    tree = module_tree(ctx) if earlier is None else compared_tree(earlier, ctx)
    show_tree(screen, tree, sum(op not in ctx.tags for op in ctx.walk.counted), depth)
