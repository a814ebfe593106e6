"""`onnx-tagger sensitivity`: what quantising each module costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, screen_of_run
from onnx_tagger.cli.options import MapFile, Model, one_of

Calibrate = Annotated[
    str,
    typer.Option(
        metavar="DATA",
        help="What to calibrate and measure on: an .npz file, a folder of them, file.py:function that gives dicts of "
        "input name to array, or random:SPEC.json.",
        show_default=False,
    ),
]


def command(
    model: Model,
    calibrate: Calibrate,
    map_file: MapFile = None,
    how: Annotated[
        str, typer.Option(help="Inject each module's noise, or quantise one at a time.", **one_of(("inject", "each")))
    ] = "inject",
    only: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Look at these modules alone.")] = None,
    keep: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Leave these modules out.")] = None,
    depth: Annotated[int | None, typer.Option(metavar="N", min=1, help="Add up at N parts of a module's path.")] = None,
    per_channel: Annotated[bool, typer.Option("--per-channel", help="A scale for each channel of a weight.")] = False,
    method: Annotated[
        str, typer.Option(help="How ranges are chosen.", **one_of(("minmax", "entropy", "percentile")))
    ] = "minmax",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="S.json", help="Save it as JSON.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Measure what quantising each module to 8 bits costs, the costliest first."""
    from onnx_tagger.reporters.quantising.text import show_sensitivity
    from onnx_tagger.workflows.quantising.sensing import sensitivity

    check_targets([output], [model, map_file])
    screen = screen_of_run()
    with screen.progress("sensitivity"):
        found = sensitivity(
            model,
            calibrate,
            hierarchy=map_file,
            how="each" if how == "each" else "inject",
            only=only or (),
            keep=keep or (),
            depth=depth,
            per_channel=per_channel,
            method=method,
        )
    if output is not None:
        found.save(output)
    if json_:
        screen.raw(found.to_json())
    else:
        show_sensitivity(screen, found)
