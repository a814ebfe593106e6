"""`onnx-tagger bench`: what tagging adds to an export."""

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
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="How often each export is measured.")] = 3,
    inputs: Inputs = None,
    dynamic: Dynamic = False,
    seed: Seed = 0,
    opset: Opset = None,
    isolate: Isolate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Measure what tagging adds to an export of a model: seconds by phase, and the ratio to the bare export."""
    require("torch", "torch", "measuring exports")
    import json

    from onnx_tagger.reporters.strategies import show_timings
    from onnx_tagger.workflows.benchmarking import bench
    from onnx_tagger.workflows.from_source import Given, measure_source

    screen = screen_of_run()
    measure = functools.partial(bench, opset=opset, dynamic=dynamic, rounds=rounds)
    work = functools.partial(measure_source, measure, Given(source, inputs, seed))
    found = on_source(work, screen, "bench", isolate, source)
    if as_json:
        screen.raw(json.dumps([timing.as_dict() for timing in found], indent=1))
    else:
        show_timings(screen, found)
