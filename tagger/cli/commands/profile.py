"""`onnx-tagger profile`: where the time, the memory and the work of a run go, module by module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.cli.app import check_targets, save_tables, screen_of_run, show_table
from onnx_tagger.cli.options import (
    AsMarkdown,
    CsvFile,
    Force,
    HtmlFile,
    MapFile,
    Model,
    TableFormName,
    Under,
    one_of,
)
from onnx_tagger.errors import require

if TYPE_CHECKING:
    from onnx_tagger.measures.profiling.profile import Profile


def _list_settings(wanted: bool) -> None:
    if wanted:
        from onnx_tagger.runtime.settings import SETTINGS

        width = max(map(len, SETTINGS))
        for name, setting in SETTINGS.items():
            typer.echo(f"{name:{width}}  {setting.does}")
        typer.echo(f"{'provider.NAME':{width}}  an option of the execution provider, which it checks itself")
        raise typer.Exit


def _out(name: str, help_text: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(name, metavar="FILE", help=help_text)
    return found


def command(
    model: Model,
    map_file: MapFile = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What to run on: an .npz of arrays or a .json spec; random values if left out."
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEVEL", help="all, extended, basic, disable or layout; several are compared in one table."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="K=V", help="Compare with this setting, or several parted by commas; repeatable."
        ),
    ] = None,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Execution provider, such as CPU.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads inside a kernel; with more than one times scatter.")] = 1,
    sessions: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many sessions, with and without the profiler; 5 to 20 by the time that one takes."
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="How many runs of each session count.")] = 30,
    roofline: Annotated[
        bool, typer.Option("--roofline", help="Operations, bytes, and how close to what this machine can do.")
    ] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Bytes of results that are held when most are.")] = False,
    by: Annotated[
        str, typer.Option(help="What a row is.", **one_of(("module", "class", "operator", "call")))
    ] = "module",
    depth: Annotated[int | None, typer.Option(min=0, help="Levels of modules to show; 4 if left out.")] = None,
    under: Under = None,
    sort: Annotated[str, typer.Option(metavar="COLUMN", help="The column that rows are sorted by, or order.")] = "time",
    seed: Annotated[int, typer.Option(min=0, help="Seed of random inputs.")] = 0,
    force: Force = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="P.json", help="Save the profile.")] = None,
    csv: CsvFile = None,
    html: HtmlFile = None,
    as_markdown: AsMarkdown = False,
    trace: Annotated[Path | None, _out("--trace", "Write a run for Perfetto or chrome://tracing.")] = None,
    speedscope: Annotated[Path | None, _out("--speedscope", "Write a run for speedscope.")] = None,
    overlay: Annotated[Path | None, _out("--overlay", "Write node data for Model Explorer.")] = None,
    list_settings: Annotated[
        bool,
        typer.Option(
            "--list-settings", callback=_list_settings, is_eager=True, help="List what --set takes, and stop."
        ),
    ] = False,
) -> None:
    """Run a file in onnxruntime and show where its time goes, module by module, with error bars."""
    require("onnxruntime", "ort", "profiling")
    from onnx_tagger.measures.profiling.groups import grouped
    from onnx_tagger.reporters.profiling.text import show_profile, show_ways
    from onnx_tagger.workflows.profiling.comparing import ways
    from onnx_tagger.workflows.profiling.planning import Plan
    from onnx_tagger.workflows.profiling.rows import chosen_rows

    files = {"chrometrace": trace, "speedscope": speedscope, "overlay": overlay}
    check_targets([output, csv, html, *files.values()], [model, map_file, inputs])
    screen = screen_of_run()
    plan = Plan(sessions, runs, roofline, memory, seed)
    with screen.progress("profile") as progress:
        found = ways(
            model,
            map_file,
            level or (),
            changes or (),
            plan,
            provider=provider,
            threads=threads,
            inputs=inputs,
            force=force,
            progress=progress,
        )
    profile = found[0].profile
    rows_by = "operator" if by == "module" and profile.attributed[0] == 0 else by
    shown = grouped(profile, rows_by)
    table = chosen_rows(shown, under if shown is profile else None, depth, sort)
    if len(found) > 1:
        show_ways(screen, found)
    elif not show_table(screen, table, TableFormName.TEXT, as_markdown=as_markdown):
        show_profile(screen, profile, table, by=rows_by, whole=bool(under) or depth is not None)
    if output is not None:
        profile.save(output)
    save_tables(table, html, csv, title=profile.model, size="time")
    _write_runs(profile, files)
    if len(found) > 1 and any((output, csv, html, *files.values())):
        screen.note(f"files hold the profile of {found[0].name}, the first way")


def _write_runs(profile: Profile, files: dict[str, Path | None]) -> None:
    """Write a run in the forms that were asked for, each file whole or not at all."""
    from io import StringIO

    from onnx_tagger.files.replacing import replace_file
    from onnx_tagger.measures.measure import Measure
    from onnx_tagger.measures.profiling.profile import TIME
    from onnx_tagger.reporters.profiling import chrometrace, speedscope
    from onnx_tagger.reporters.views import overlay

    made: list[tuple[Path, StringIO]] = []
    for name, path in files.items():
        if path is None:
            continue
        made.append((path, StringIO()))
        if name == "overlay":
            times = Measure(TIME, [kernel.mean for kernel in profile.kernels])
            overlay.render(times, [kernel.name for kernel in profile.kernels], made[-1][1])
        else:
            (chrometrace if name == "chrometrace" else speedscope).render(profile, made[-1][1])
    for path, text in made:
        replace_file(path, text.getvalue().encode(errors="surrogatepass"))
