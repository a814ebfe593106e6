"""`onnx-tagger show`: one node."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson, AsTsv, MapFile, ModelOrUrl


def command(
    model: ModelOrUrl,
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE",
            help="Name of a node, an id such as main#4, or a tensor that the node makes.",
            show_default=False,
        ),
    ],
    map_file: MapFile = None,
    as_json: AsJson = False,
    as_tsv: AsTsv = False,
) -> None:
    """Show a node: its module, how that was found, its code, and the nodes around it with their modules."""
    from onnx_tagger.reporters.details import show_details
    from onnx_tagger.workflows.querying import details_of, find_nodes
    from onnx_tagger.workflows.reading import read

    tagged, screen = read(model, map_file), screen_of_run()
    found = [details_of(tagged.context, op) for op in find_nodes(tagged.context, node)]
    show_details(screen, found, "json" if as_json else "tsv" if as_tsv else "text")
