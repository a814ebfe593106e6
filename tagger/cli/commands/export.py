"""`onnx-tagger export`: a PyTorch model as a tagged file with its map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    complain,
    files_of,
    finish,
    names_of,
    screen_of_run,
    settings,
    tell_weights,
)
from onnx_tagger.cli.options import (
    Also,
    Dynamic,
    Inputs,
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
    report: ReportFile = None,
) -> None:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it.

    Exit with 1 if its outputs differ from the model's.
    """
    require("torch", "torch", "export")
    from onnx_tagger.model import metadata
    from onnx_tagger.workflows import checking, exporting

    written = [output, *([] if no_tag else [checking.map_path(output)])]
    check_targets([*written, report], [*files_of(source), inputs, dynamic_shapes])
    dialects = metadata.check_dialects(names_of(also) or ())
    from onnx_tagger.exporters.sources.loading import load_source
    from onnx_tagger.exporters.sources.shapespec import read_shapes

    screen = screen_of_run()
    with screen.progress("export") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        shapes = read_shapes(dynamic_shapes, loaded.model, loaded.args, loaded.kwargs) if dynamic_shapes else None
        made = exporting.export(
            loaded.model,
            loaded.args,
            output,
            kwargs=loaded.kwargs,
            strategy=strategy,
            tag=not no_tag,
            also=dialects,
            evidence=evidence,
            opset=opset,
            dynamic=dynamic,
            merge=merge.value,
            verify_bytes=verify_bytes,
            input_names=names_of([input_names or ""]) or (),
            output_names=names_of([output_names or ""]) or (),
            dynamic_shapes=shapes,
            compare=not no_compare,
            debug=settings.debug,
            progress=progress,
        )
    finish(screen, made.report, report)
    tell_weights(screen, made.report)
    result = "no tags written" if no_tag else made.report.split()
    screen.summary(f"{output}: {result}, strategy {made.report.strategy}")
    if not no_tag:
        screen.summary(f"{made.map_path}: the map, for retag and check")
    if made.report.compared is not None and not made.report.compared["agrees"]:
        complain(made.report.failures[-1])
        raise typer.Exit(1)
