"""`onnx-tagger capture`: the map of a model that others exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    files_of,
    finish,
    screen_of_run,
)
from onnx_tagger.cli.commands import infer
from onnx_tagger.cli.options import (
    Inputs,
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
    report: ReportFile = None,
) -> None:
    """Run a model once and save its map, for an ONNX file that others exported; of M.onnx, what its names say."""
    if output.suffix == ".onnx":
        raise TaggerError(f"{output}: a map is no ONNX file; name it {output.with_suffix('.hierarchy.json').name}")
    if source.endswith(".onnx"):
        # A file is no model that could be run: what it says by itself is all there is.
        if inputs is not None or report is not None:
            raise TaggerError(f"{source}: an ONNX file is not run for its map; leave --inputs and --report out")
        infer.command(Path(source), output)
        return
    require("torch", "torch", "capture")
    from onnx_tagger.workflows import exporting

    check_targets([output, report], [*files_of(source), inputs])
    from onnx_tagger.exporters.sources.loading import load_source
    from onnx_tagger.model.report import Report
    from onnx_tagger.reporters.terminal import counted

    screen = screen_of_run()
    with screen.progress("capture") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        progress("run it")
        found = Report()
        hierarchy = exporting.capture(loaded.model, loaded.args, kwargs=loaded.kwargs, report=found)
        with found.phase("save map"):
            hierarchy.save(output)
    finish(screen, found, report)
    parts = f"{counted(len(hierarchy.modules), 'module')}, {counted(len(hierarchy.parameters), 'parameter')}"
    screen.summary(f"{output}: {parts}")
