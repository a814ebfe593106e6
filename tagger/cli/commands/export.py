"""`onnx-tagger export`: a PyTorch model as a tagged file with its map."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    complain,
    files_of,
    finish,
    names_of,
    on_source,
    screen_of_run,
    settings,
    tell_weights,
)
from onnx_tagger.cli.options import (
    Also,
    Dynamic,
    Inputs,
    Isolate,
    Merge,
    MergeName,
    Opset,
    ReportFile,
    Seed,
    SourceText,
    VerifyBytes,
    WriteEvidence,
    one_of,
)
from onnx_tagger.errors import require
from onnx_tagger.exporters import ALIASES, STRATEGIES


def command(
    source: SourceText,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="M.onnx", help="The file to write.")],
    strategy: Annotated[
        str,
        typer.Option(
            help=f"auto tries {', then '.join(STRATEGIES)}; {' and '.join(ALIASES)} are their exporters in torch.",
            **one_of(("auto", *STRATEGIES, *ALIASES)),
        ),
    ] = "auto",
    inputs: Inputs = None,
    dynamic: Dynamic = False,
    seed: Seed = 0,
    opset: Opset = None,
    no_tag: Annotated[bool, typer.Option("--no-tag", help="The bare export, without tags and map.")] = False,
    also: Also = None,
    evidence: WriteEvidence = False,
    merge: Merge = MergeName.ENCLOSING,
    input_names: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names for the first inputs of the file, parted by commas.")
    ] = None,
    output_names: Annotated[
        str | None, typer.Option(metavar="C,D", help="Names for the first outputs of the file, parted by commas.")
    ] = None,
    dynamic_shapes: Annotated[
        Path | None, typer.Option(metavar="SHAPES.json", help="Leave these dimensions open: input to {axis: name}.")
    ] = None,
    no_compare: Annotated[
        bool, typer.Option("--no-compare", help="Do not run model and file to compare their outputs.")
    ] = False,
    verify_bytes: VerifyBytes = False,
    isolate: Isolate = None,
    report: ReportFile = None,
) -> None:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it.

    Exit with 1 if its outputs differ from the model's.
    """
    require("torch", "torch", "export")
    from onnx_tagger.model import metadata
    from onnx_tagger.workflows import checking
    from onnx_tagger.workflows.from_source import Given, export_source

    map_path = checking.map_path(output)
    written = [output, *([] if no_tag else [map_path])]
    check_targets([*written, report], [*files_of(source), inputs, dynamic_shapes])
    options = {
        "strategy": strategy,
        "tag": not no_tag,
        "also": metadata.check_dialects(names_of(also) or ()),
        "evidence": evidence,
        "opset": opset,
        "dynamic": dynamic,
        "merge": merge.value,
        "verify_bytes": verify_bytes,
        "input_names": names_of([input_names or ""]) or (),
        "output_names": names_of([output_names or ""]) or (),
        "compare": not no_compare,
        "debug": settings.debug,
    }
    screen = screen_of_run()
    work = functools.partial(export_source, Given(source, inputs, seed), output, dynamic_shapes, options)
    made = on_source(work, screen, "export", isolate, source, written)
    finish(screen, made, report)
    tell_weights(screen, made)
    result = "no tags written" if no_tag else made.split()
    screen.summary(f"{output}: {result}, strategy {made.strategy}")
    if not no_tag:
        screen.summary(f"{map_path}: the map, for retag and check")
    if made.compared is not None and not made.compared["agrees"]:
        complain(made.failures[-1])
        raise typer.Exit(1)
