"""`onnx-tagger show`: one node."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import read_tagged, screen_of_run
from onnx_tagger.cli.options import MapFile, Model


def command(
    model: Model,
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE",
            help="Name of a node, an id such as main#4, or a tensor that the node makes.",
            show_default=False,
        ),
    ],
    map_file: MapFile = None,
) -> None:
    """Show a node: its module, how that was found, and the modules around it."""
    from onnx_tagger.reporters.details import show_node
    from onnx_tagger.workflows.querying import find_nodes

    ctx, screen = read_tagged(model, map_file), screen_of_run()
    for op in find_nodes(ctx, node):
        show_node(screen, ctx, op)
