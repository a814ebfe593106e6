"""`onnx-tagger strategies`: the ways to export a model, side by side."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from onnx_tagger.cli.app import (
    on_source,
    screen_of_run,
)
from onnx_tagger.cli.options import (
    Dynamic,
    Inputs,
    Isolate,
    Opset,
    Seed,
    SourceText,
)
from onnx_tagger.errors import require


def command(
    source: SourceText,
    truth: Annotated[
        bool, typer.Option("--truth", help="Run the model and each file, and count how many tags are right.")
    ] = False,
    inputs: Inputs = None,
    dynamic: Dynamic = False,
    seed: Seed = 0,
    opset: Opset = None,
    isolate: Isolate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Compare the strategies on a model: seconds, coverage, and what auto takes."""
    require("torch", "torch", "comparing strategies")
    if truth:
        require("onnxruntime", "ort", "truth by execution")
    import json

    from onnx_tagger.reporters.strategies import show_comparison
    from onnx_tagger.workflows.from_source import Given, measure_source
    from onnx_tagger.workflows.strategies import compare

    screen = screen_of_run()
    measure = functools.partial(compare, opset=opset, dynamic=dynamic, truth=truth)
    work = functools.partial(measure_source, measure, Given(source, inputs, seed))
    found = on_source(work, screen, "strategies", isolate, source)
    if as_json:
        # Plain ASCII: nothing in it steers a terminal.
        screen.raw(json.dumps(found.as_dict(), indent=1))
    else:
        show_comparison(screen, found)
