"""`onnx-tagger carry`: tags across another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    finish,
    names_of,
    screen_of_run,
    tell_verified,
)
from onnx_tagger.cli.options import (
    Also,
    Merge,
    MergeName,
    NoValues,
    ReportFile,
    Values,
    Verify,
    WriteEvidence,
)

EPILOG = "For example: onnx-tagger carry bert.onnx -o slim.onnx -- onnxslim {in} {out}"


def command(
    model: Annotated[
        Path, typer.Argument(metavar="IN.onnx", help="The tagged file that the tool reads.", show_default=False)
    ],
    tool: Annotated[
        list[str],
        typer.Argument(
            metavar="TOOL",
            help="Behind --, the tool's command line; {in} and {out} in it stand for the paths of its input and of "
            "its result.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.")],
    map_file: Annotated[
        str | None,
        typer.Option("--map", metavar="MAP", help="Tag from this .hierarchy.json or .onnx, and not from IN.onnx."),
    ] = None,
    merge: Merge = MergeName.ENCLOSING,
    also: Also = None,
    evidence: WriteEvidence = False,
    verify: Verify = False,
    values: Values = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Makes no difference, since carry refuses no map; a note says so."),
    ] = False,
    no_values: NoValues = False,
    report: ReportFile = None,
) -> None:
    """Run another tool on a tagged file and tag what it makes of it."""
    from onnx_tagger.workflows import carrying

    command = carrying.Command(tool)
    check_targets([output, report], [model, map_file, values])
    screen = screen_of_run()
    found = carrying.carry(
        model,
        output,
        command,
        hierarchy=map_file,
        merge=merge.value,
        also=names_of(also),
        evidence=evidence,
        force=force,
        values=not no_values,
        verify=verify,
        inputs=values,
    )
    finish(screen, found, report)
    tell_verified(screen, found)
    screen.summary(f"{output}: {found.split()}")
