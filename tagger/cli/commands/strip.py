"""`onnx-tagger strip`: a file without what we wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    finish,
    screen_of_run,
    target_of,
    tell_weights,
)
from onnx_tagger.cli.options import (
    InPlace,
    ModelOrUrl,
    Output,
    ReportFile,
    VerifyBytes,
)


def command(
    model: ModelOrUrl,
    output: Output = None,
    stack_traces: Annotated[
        bool, typer.Option("--stack-traces", help="Also remove the local paths that torch leaves on nodes.")
    ] = False,
    in_place: InPlace = False,
    verify_bytes: VerifyBytes = False,
    report: ReportFile = None,
) -> None:
    """Remove what onnx-tagger wrote into a file, and nothing else."""
    from onnx_tagger.model.report import Report
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.workflows import retagging

    target = target_of(model, output, in_place)
    check_targets([target, report], [])
    check_targets([report], [model])
    found, screen = Report(), screen_of_run()
    with screen.progress("strip"):
        changed = retagging.strip(
            model, target, stack_traces=stack_traces, in_place=in_place, verify_bytes=verify_bytes, report=found
        )
    finish(screen, found, report)
    tell_weights(screen, found)
    screen.summary(f"{target}: {counted(changed, 'node')} stripped")
