"""`onnx-tagger nodes`: the nodes of a module, or those that fit."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson, AsTsv, MapFile, ModelOrUrl, Under


def command(
    model: ModelOrUrl,
    under: Under = None,
    op: Annotated[list[str] | None, typer.Option(metavar="TYPE", help="Only this operator; repeatable.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Only tags found so: exported, matched, aligned ...; repeatable."),
    ] = None,
    untagged: Annotated[bool, typer.Option("--untagged", help="Only nodes without a tag.")] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Print names alone, one a line, as for nodes_to_exclude of a quantiser.")
    ] = False,
    map_file: MapFile = None,
    as_json: AsJson = False,
    as_tsv: AsTsv = False,
) -> None:
    """List nodes, one a line: name, operator, module, how that was found, and the origins of fused nodes."""
    from onnx_tagger.reporters.nodes import show_nodes
    from onnx_tagger.workflows.reading import read

    rows = read(model, map_file).nodes(under or None, op or None, source or None, untagged=untagged)
    screen = screen_of_run()
    show_nodes(screen, rows, "json" if as_json else "tsv" if as_tsv else "names" if names else "text")
    if op and not rows:
        screen.note(f"no node with the operator {' or '.join(op)} is among them")
