"""`onnx-tagger capture`: the map of a model that others exported."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    files_of,
    finish,
    on_source,
    screen_of_run,
)
from onnx_tagger.cli.commands import infer
from onnx_tagger.cli.options import (
    Inputs,
    Isolate,
    ReportFile,
    Seed,
    SourceText,
)
from onnx_tagger.errors import TaggerError, require


def command(
    source: SourceText,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="M.hierarchy.json", help="The map to write, gzipped if it ends with .gz."
        ),
    ],
    inputs: Inputs = None,
    seed: Seed = 0,
    isolate: Isolate = None,
    report: ReportFile = None,
) -> None:
    """Run a model once and save its map, for an ONNX file that others exported; of M.onnx, what its names say."""
    if output.suffix == ".onnx":
        raise TaggerError(f"{output}: a map is no ONNX file; name it {output.with_suffix('.hierarchy.json').name}")
    if source.endswith(".onnx"):
        # A file is no model that could be run: what it says by itself is all there is.
        if inputs is not None or report is not None:
            raise TaggerError(f"{source}: an ONNX file is not run for its map; leave --inputs and --report out")
        infer.command(source, output)
        return
    require("torch", "torch", "capture")
    check_targets([output, report], [*files_of(source), inputs])
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.workflows.from_source import Given, capture_source

    screen = screen_of_run()
    work = functools.partial(capture_source, Given(source, inputs, seed), output)
    found, modules, parameters = on_source(work, screen, "capture", isolate, source, [output])
    finish(screen, found, report)
    parts = f"{counted(modules, 'module')}, {counted(parameters, 'parameter')}"
    screen.summary(f"{output}: {parts}")
