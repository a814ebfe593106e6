"""`onnx-tagger infer`: the map of a file that has neither tags nor a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, screen_of_run
from onnx_tagger.cli.options import ModelOrUrl
from onnx_tagger.errors import TaggerError


def command(
    model: ModelOrUrl,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="M.hierarchy.json",
            help="The map to write, gzipped if it ends with .gz; else it goes to M.hierarchy.json beside M.onnx.",
        ),
    ] = None,
) -> None:
    """Save the map that a file's own metadata or names give, for a file that others made."""
    from onnx_tagger.model.urls import is_url, shown_place
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.workflows.checking import map_path
    from onnx_tagger.workflows.inferring import infer

    if output is None and is_url(model):
        raise TaggerError(f"{shown_place(model)}: a map cannot be written beside it; name a file with -o")
    target = output if output is not None else map_path(model)
    if target.suffix == ".onnx":
        raise TaggerError(f"{target}: a map is no ONNX file; name it {target.with_suffix('.hierarchy.json').name}")
    check_targets([target], [model])
    screen = screen_of_run()
    with screen.progress("infer"):
        found = infer(model)
        found.save(target)
    nodes = found.graph.nodes if found.graph is not None else ()
    tagged = [node.tag for node in nodes if node.tag is not None]
    sources = {label: sum(tag.source.label == label for tag in tagged) for label in ("named", "inherited", "root")}
    split = ", ".join(f"{label} {count}" for label, count in sources.items() if count)
    screen.summary(
        f"{target}: {counted(len(found.modules), 'module')}, {len(tagged)} of {counted(len(nodes), 'node')}"
        + (f" ({split})" if split else "")
    )
