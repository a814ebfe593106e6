"""`onnx-tagger quantize`: a file quantised by module, tagged, and held against a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, names_of, screen_of_run
from onnx_tagger.cli.options import MapFile, Model, one_of
from onnx_tagger.errors import TaggerError


def command(
    model: Model,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.", show_default=False)
    ],
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Choose ranges when the file runs.")] = False,
    static: Annotated[bool, typer.Option("--static", help="Choose ranges from data, before.")] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="What to calibrate and measure on: an .npz, a folder of them, file.py:function, random:SPEC.json.",
        ),
    ] = None,
    map_file: MapFile = None,
    form: Annotated[str, typer.Option("--format", help="How it is written.", **one_of(("qdq", "qoperator")))] = "qdq",
    methods: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="How ranges are chosen: minmax, entropy, percentile; the best is taken."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Quantise these modules alone.")] = None,
    keep: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Leave these modules in float.")] = None,
    per_channel: Annotated[bool, typer.Option("--per-channel", help="A scale for each channel of a weight.")] = False,
    min_sqnr: Annotated[
        float | None, typer.Option(metavar="DB", help="Least signal to noise; costly modules are kept until it is met.")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(metavar="X", help="What the metric may lose at most; met in the same way.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:FN", help="Function of run(inputs) and samples; higher is better."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="R.json", help="Save what was tried as JSON.")] = None,
) -> None:
    """Quantise the modules of a file to 8 bits and tag it; exit with 1 if a target is missed."""
    from onnx_tagger.reporters.quantising.text import show_quantized
    from onnx_tagger.workflows.quantising.quantizing import quantize

    if dynamic is static:
        raise TaggerError("how ranges are chosen is not said; give --dynamic, or --static with --calibrate DATA")
    check_targets([output, report], [model, map_file])
    screen = screen_of_run()
    with screen.progress("quantize"):
        found = quantize(
            model,
            output,
            data=calibrate,
            dynamic=dynamic,
            hierarchy=map_file,
            form=form,
            methods=names_of(methods) or ("minmax",),
            per_channel=per_channel,
            only=only or (),
            keep=keep or (),
            min_sqnr=min_sqnr,
            max_drop=max_drop,
            metric=metric,
        )
    if report is not None:
        found.save(report)
    show_quantized(screen, found)
    raise typer.Exit(0 if found.ok else 1)
