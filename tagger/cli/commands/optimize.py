"""`onnx-tagger optimize`: stages of optimisation, each tried, proved and measured, and the best of what they make."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.cli.app import check_targets, names_of, screen_of_run
from onnx_tagger.cli.options import Seed, one_of

if TYPE_CHECKING:
    from onnx_tagger.measures.optimising.optimised import Optimized

EPILOG = "For example: onnx-tagger optimize bert.onnx -o fast.onnx --speedup 1.2 --workdir work --report r.json"


def command(
    model: Annotated[Path, typer.Argument(metavar="M.onnx", help="The tagged file to optimise.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.")],
    speedup: Annotated[
        float | None, typer.Option(metavar="X", help="How many times as fast the result has to be.")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option("--max-drop", metavar="X", min=0, help="By how much the metric may fall.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:FN",
            help="A function of run(inputs) and samples that returns a number; higher is better.",
        ),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME,...", help="What is tried, in this order: graph, fusions, transformers, settings."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Modules whose operators stay as they are; repeatable.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(metavar="VALUES.npz|SPEC.json", help="What the file is run on; random if left out.")
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=0, help="Threads inside a kernel; 0 for all.")] = 1,
    sessions: Annotated[int, typer.Option(metavar="N", min=1, help="Fresh sessions of each try.")] = 5,
    runs: Annotated[int, typer.Option(metavar="N", min=1, help="Runs in each session that count.")] = 30,
    workdir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what is tried here; a run that was killed goes on where it was."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="R.json", help="Write the whole report to this file.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as a page of HTML.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="How the report is printed.", **one_of(("text", "json", "markdown")))
    ] = "text",
    seed: Seed = 0,
) -> None:
    """Optimise a file by stages that are each proved and measured; exit with 1 if a target is missed."""
    check_targets([output, report, html], [model, inputs])
    from onnx_tagger.workflows.optimising.optimise import optimize
    from onnx_tagger.workflows.optimising.stages import STAGES

    screen = screen_of_run()
    with screen.progress("optimize") as progress:
        found = optimize(
            model,
            output,
            stages=names_of(stages) or STAGES,
            speedup=speedup,
            max_drop=max_drop,
            metric=metric,
            keep=keep or (),
            inputs=inputs,
            threads=threads,
            sessions=sessions,
            runs=runs,
            seed=seed,
            workdir=workdir,
            progress=progress,
        )
    _write(found, report, html)
    if form == "text":
        from onnx_tagger.reporters.optimising.text import show

        show(screen, found)
    elif form == "json":
        screen.raw(found.to_json() + "\n")
    else:
        from onnx_tagger.reporters.optimising.markdown import render

        text = StringIO()
        render(found, text)
        screen.raw(text.getvalue())
    raise typer.Exit(0 if found.ok else 1)


def _write(found: Optimized, report: Path | None, html: Path | None) -> None:
    """Write the report and the page, if they were asked for."""
    if report is not None:
        found.save(report)
    if html is not None:
        from onnx_tagger.files.replacing import replace_file
        from onnx_tagger.reporters.optimising.page import render

        text = StringIO()
        render(found, text)
        replace_file(html, text.getvalue().encode())
