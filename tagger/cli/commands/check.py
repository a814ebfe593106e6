"""`onnx-tagger check`: whether the tags of a file hold."""

from __future__ import annotations

import sys
from io import StringIO
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.cli.app import check_targets, names_of, screen_of_run, settings, write_report
from onnx_tagger.cli.options import MapFile, Models, ReportFile, one_of
from onnx_tagger.reporters import VERDICT_FORMS, render_gated, render_verdict

if TYPE_CHECKING:
    from onnx_tagger.model.gated import Gated, Judged
    from onnx_tagger.model.report import Limits, Report
    from onnx_tagger.reporters.terminal import Screen

Rules = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE", help="Look at these rules alone, by id or name; see rules. Repeatable, or by commas."),
]
Ignored = Annotated[list[str] | None, typer.Option(metavar="RULE", help="Leave these rules out.")]


def command(
    models: Models,
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
    max_named: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Most nodes tagged by names alone; else no limit.")
    ] = None,
    allow_forced: Annotated[
        bool, typer.Option("--allow-forced", help="Accept tags from a map that was taken with --force.")
    ] = False,
    min_evidence: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="What each tag must rest on at least, by pkg.onnx_tagger.evidence: exporter, stated, node, name, "
            "weight, structure, run, neighbours or undecided.",
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="How the verdict is printed.", **one_of(VERDICT_FORMS))
    ] = "text",
    select: Rules = None,
    ignore: Ignored = None,
    report_file: ReportFile = None,
) -> None:
    """Check that every node has a tag that holds; exit with 1 if not. Many files are checked in one go."""
    from onnx_tagger.files.gathering import gather, names_many
    from onnx_tagger.model.evidence import evidence_class
    from onnx_tagger.model.gated import Gated
    from onnx_tagger.model.report import Limits
    from onnx_tagger.workflows import checking, gating

    files = gather(models, sys.stdin if "-" in models else ())
    check_targets([report_file], [*files, map_file])
    least = evidence_class(min_evidence) if min_evidence is not None else None
    screen, limits = screen_of_run(), Limits(min_coverage, max_root, max_inherited, max_named, least)
    left_out = gating.ignored(names_of(select) or (), names_of(ignore) or ())
    if not names_many(models):
        with screen.progress("check"):
            report = checking.check(
                files[0],
                map_file,
                dialect=dialect,
                min_coverage=min_coverage,
                max_root=max_root,
                max_inherited=max_inherited,
                max_named=max_named,
                allow_forced=allow_forced,
                min_evidence=min_evidence,
            )
        write_report(report, report_file)
        if not left_out:
            _show_one(screen, files[0], report, limits, form)
            raise typer.Exit(0 if report.ok else 1)
        gated = Gated((gating.judged(files[0], report, limits, left_out),))
    else:
        found: list[Judged] = []
        with screen.progress("check") as progress:
            for each in gating.check_files(
                files, map_file, dialect=dialect, limits=limits, allow_forced=allow_forced, left_out=left_out
            ):
                progress(each.file)
                found.append(each)
        gated = Gated(tuple(found))
        write_report(gated, report_file)
    _show(screen, gated, form)
    raise typer.Exit(0 if gated.ok else 1)


def _show_one(screen: Screen, file: str, report: Report, limits: Limits, form: str) -> None:
    """Print the verdict on one file, of which every rule counts."""
    from onnx_tagger.model.urls import shown_place
    from onnx_tagger.model.verdict import Verdict
    from onnx_tagger.reporters.summary import show_notes

    text = StringIO()
    render_verdict(Verdict.of(shown_place(file), report, limits), form, text)
    if form != "text":
        screen.raw(text.getvalue())
        return
    headline, *rest = text.getvalue().splitlines()
    screen.styled(headline, "green" if report.ok else "red")
    screen.lines(rest)
    show_notes(screen, report)


def _show(screen: Screen, gated: Gated, form: str) -> None:
    """Print what was found; with --quiet findings alone."""
    if form == "text" and settings.quiet:
        from onnx_tagger.reporters.text import findings_only

        screen.lines(findings_only(gated))
        return
    text = StringIO()
    render_gated(gated, form, text)
    screen.raw(text.getvalue())
