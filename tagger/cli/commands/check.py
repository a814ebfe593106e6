"""`onnx-tagger check`: whether the tags of a file hold."""

from __future__ import annotations

from io import StringIO
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, screen_of_run, write_report
from onnx_tagger.cli.options import MapFile, ModelOrUrl, ReportFile, one_of
from onnx_tagger.reporters import VERDICT_FORMS, render_verdict


def command(
    model: ModelOrUrl,
    map_file: MapFile = None,
    dialect: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Count this convention: torch, winml, namespace, layer_ann or doc_string."),
    ] = None,
    min_coverage: Annotated[float, typer.Option(metavar="PERCENT", help="Smallest share of tagged nodes.")] = 100.0,
    max_root: Annotated[int, typer.Option(metavar="N", min=0, help="Most nodes that fell back to the root.")] = 0,
    max_inherited: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Most nodes with an inherited tag; else no limit.")
    ] = None,
    allow_forced: Annotated[
        bool, typer.Option("--allow-forced", help="Accept tags from a map that was taken with --force.")
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help="How the verdict is printed.", **one_of(VERDICT_FORMS))
    ] = "text",
    report_file: ReportFile = None,
) -> None:
    """Check that every node has a tag that holds; exit with 1 if not."""
    from onnx_tagger.model.report import Limits
    from onnx_tagger.model.urls import shown_place
    from onnx_tagger.model.verdict import Verdict
    from onnx_tagger.reporters.summary import show_notes
    from onnx_tagger.workflows import checking

    check_targets([report_file], [model, map_file])
    screen = screen_of_run()
    with screen.progress("check"):
        report = checking.check(
            model,
            map_file,
            dialect=dialect,
            min_coverage=min_coverage,
            max_root=max_root,
            max_inherited=max_inherited,
            allow_forced=allow_forced,
        )
    write_report(report, report_file)
    limits = Limits(min_coverage, max_root, max_inherited)
    text = StringIO()
    render_verdict(Verdict.of(shown_place(model), report, limits), form, text)
    if form == "text":
        headline, *rest = text.getvalue().splitlines()
        screen.styled(headline, "green" if report.ok else "red")
        screen.lines(rest)
        show_notes(screen, report)
    else:
        screen.raw(text.getvalue())
    raise typer.Exit(0 if report.ok else 1)
