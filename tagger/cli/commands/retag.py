"""`onnx-tagger retag`: tags for a file, from a map or its own metadata."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    finish,
    names_of,
    screen_of_run,
    target_of,
    tell_verified,
    tell_weights,
)
from onnx_tagger.cli.options import (
    Also,
    Force,
    InPlace,
    MapFile,
    Merge,
    MergeName,
    ModelOrUrl,
    NoValues,
    Output,
    ReportFile,
    Values,
    Verify,
    VerifyBytes,
    WriteEvidence,
)


def command(
    model: ModelOrUrl,
    map_file: MapFile = None,
    output: Output = None,
    merge: Merge = MergeName.ENCLOSING,
    also: Also = None,
    evidence: WriteEvidence = False,
    passes: Annotated[
        list[str] | None,
        typer.Option(
            "--pass", metavar="NAME[:k=v,...]", help="Run this pass, too, before tags are written; repeatable."
        ),
    ] = None,
    verify: Verify = False,
    verify_bytes: VerifyBytes = False,
    values: Values = None,
    force: Force = False,
    no_values: NoValues = False,
    in_place: InPlace = False,
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link external weight data into another folder instead of copying it.")
    ] = False,
    ir_version: Annotated[
        int | None, typer.Option(metavar="N", min=3, help="Write this IR version; the specification asks for 10.")
    ] = None,
    report: ReportFile = None,
) -> None:
    """Tag an ONNX file from a saved map, or from what its own metadata says."""
    from onnx_tagger.passes.registry import make_pass
    from onnx_tagger.workflows import retagging

    target = target_of(model, output, in_place)
    check_targets([target, report], [map_file, values])
    check_targets([report], [model])
    steps = [make_pass(text) for text in passes or ()]
    screen = screen_of_run()
    with screen.progress("retag") as progress:
        found = retagging.retag(
            model,
            map_file,
            target,
            merge=merge.value,
            also=names_of(also),
            evidence=evidence,
            passes=steps,
            force=force,
            values=not no_values,
            verify=verify,
            verify_bytes=verify_bytes,
            inputs=values,
            in_place=in_place,
            link=link,
            ir_version=ir_version,
            progress=progress,
        )
    finish(screen, found, report)
    tell_verified(screen, found)
    tell_weights(screen, found)
    screen.summary(f"{target}: {found.split()}")
