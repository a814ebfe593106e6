"""`onnx-tagger nodes`: the nodes of a module."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import read_tagged, screen_of_run
from onnx_tagger.cli.options import MapFile, Model


def command(
    model: Model,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Only nodes that do work of this module or of one in it: module path or tag."
        ),
    ] = None,
    op: Annotated[list[str] | None, typer.Option(metavar="TYPE", help="Only this operator; repeatable.")] = None,
    map_file: MapFile = None,
) -> None:
    """List nodes, one a line: name, operator, module."""
    from onnx_tagger.reporters.details import node_line
    from onnx_tagger.workflows.querying import nodes_under

    ctx = read_tagged(model, map_file)
    screen_of_run().lines(node_line(ctx, found) for found in nodes_under(ctx, under, op or ()))
