"""`onnx-tagger check`: whether the tags of a file hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.cli.app import check_targets, names_of, screen_of_run, settings, settings_of, write_report
from onnx_tagger.cli.gate import Asked
from onnx_tagger.cli.options import ConfigFile, GatedModels, MapFile, NoConfig, ReportFile, one_of
from onnx_tagger.errors import TaggerError
from onnx_tagger.model.texts import counted
from onnx_tagger.reporters import VERDICT_FORMS, render_gated, render_verdict

if TYPE_CHECKING:
    from onnx_tagger.model.gated import Gated, Judged
    from onnx_tagger.model.report import Limits, Report
    from onnx_tagger.reporters.terminal import Screen
    from onnx_tagger.workflows.gating import Terms

Rules = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE", help="Look at these rules alone, by id or name; see rules. Repeatable, or by commas."),
]
Ignored = Annotated[list[str] | None, typer.Option(metavar="RULE", help="Leave these rules out.")]


def command(
    models: GatedModels = None,
    map_file: MapFile = None,
    dialect: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Count this convention: torch, winml, namespace, layer_ann or doc_string."),
    ] = None,
    min_coverage: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Smallest share of tagged nodes; else 100.")
    ] = None,
    max_root: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Most nodes that fell back to the root; else 0.")
    ] = None,
    max_inherited: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Most nodes with an inherited tag; else no limit.")
    ] = None,
    max_named: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Most nodes tagged by names alone; else no limit.")
    ] = None,
    allow_forced: Annotated[
        bool | None,
        typer.Option(
            "--allow-forced/--no-allow-forced",
            help="Accept tags from a map that was taken with --force.",
            show_default="no-allow-forced",
        ),
    ] = None,
    min_evidence: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="What each tag must rest on at least, by pkg.onnx_tagger.evidence: exporter, stated, node, name, "
            "weight, structure, run, neighbours or undecided.",
        ),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="How the verdict is printed; else as text.", **one_of(VERDICT_FORMS))
    ] = None,
    select: Rules = None,
    ignore: Ignored = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="B.json",
            help="Fail only on what is worse than this file records, by file and module, instead of by the limits.",
        ),
    ] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Record what there is now in the baseline.")
    ] = False,
    strict_baseline: Annotated[
        bool | None,
        typer.Option(
            "--strict-baseline/--no-strict-baseline",
            help="Also fail where the baseline records more than there is.",
            show_default="no-strict-baseline",
        ),
    ] = None,
    report_file: ReportFile = None,
    config: ConfigFile = None,
    no_config: NoConfig = False,
) -> None:
    """Check that every node has a tag that holds; exit with 1 if not. Many files are checked in one go."""
    options = {
        "map": map_file,
        "dialect": dialect,
        "min-coverage": min_coverage,
        "max-root": max_root,
        "max-inherited": max_inherited,
        "max-named": max_named,
        "allow-forced": allow_forced,
        "min-evidence": min_evidence,
        "format": form,
        "select": names_of(select),
        "ignore": names_of(ignore),
        "baseline": None if baseline is None else str(baseline),
        "strict-baseline": strict_baseline,
    }
    asked = Asked.of(settings_of(config, no_config), options, models)
    check_targets([report_file], [*asked.files, map_file, asked.baseline])
    screen = screen_of_run()
    ok = _check(screen, asked, update_baseline, report_file)
    raise typer.Exit(0 if ok else 1)


def _check(screen: Screen, asked: Asked, update: bool, report_file: Path | None) -> bool:
    """Check the files, print the verdict and return whether all hold."""
    from onnx_tagger.model.gated import Gated
    from onnx_tagger.workflows import gating

    if asked.baseline is not None:
        gated = _held(screen, asked, asked.baseline, update)
    elif update:
        raise TaggerError("--update-baseline: no baseline is named; give --baseline B.json, or set it in the settings")
    elif asked.many:
        gated = Gated(tuple(_each(screen, asked.files, asked.terms)))
    else:
        (file,) = asked.files
        terms = asked.terms(file)
        report = _report_of(screen, file, terms, asked.form)
        if not terms.left_out:
            write_report(report, report_file)
            _show_one(screen, file, report, terms.limits, asked.form)
            return report.ok
        gated = Gated((gating.judged(file, report, terms.limits, terms.left_out),))
    write_report(gated, report_file)
    _show(screen, gated, asked.form)
    return gated.ok


def _each(screen: Screen, files: Sequence[str], terms: Callable[[str], Terms]) -> list[Judged]:
    """Check files by their terms and show how far it is; what is printed then must wait until that is done."""
    from onnx_tagger.workflows import gating

    found = []
    with screen.progress("check") as progress:
        for each in gating.check_by(files, terms):
            progress(each.file)
            found.append(each)
    return found


def _held(screen: Screen, asked: Asked, baseline: Path, update: bool) -> Gated:
    """Check files against a baseline, and record them in it if that is asked for."""
    from onnx_tagger.model.gate.baseline import Baseline
    from onnx_tagger.workflows.gate import baselines

    known = baselines.load(baseline) if baseline.exists() or not update else Baseline()
    found = _each(screen, asked.files, lambda file: baselines.every_node(asked.terms(file)))
    pairs = list(zip(asked.files, found, strict=True))
    left_out = {file: asked.terms(file).left_out for file in asked.files}
    held = baselines.hold(pairs, known, baseline, strict=asked.strict, left_out=lambda file: left_out.get(file, ()))
    if not update:
        return held.gated
    baselines.save(held.updated, baseline)
    screen.note(f"{baseline}: {counted(len(held.updated.files), 'file')} recorded")
    return baselines.hold(pairs, held.updated, baseline, left_out=lambda file: left_out.get(file, ())).gated


def _report_of(screen: Screen, file: str, terms: Terms, form: str) -> Report:
    """The report on the only file; one that cannot be read is wrong usage, and in the forms of machines, too."""
    from onnx_tagger.model.gated import Gated
    from onnx_tagger.workflows import gating

    try:
        with screen.progress("check"):
            return gating.report_of(file, terms)
    except (TaggerError, OSError) as error:
        if form != "text":
            _show(screen, Gated((gating.unreadable(file, error),)), form)
        raise


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
