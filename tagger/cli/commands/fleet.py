"""`onnx-tagger fleet`: thousands of files, a row each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.cli.app import names_of, screen_of_run, settings
from onnx_tagger.cli.options import MapFile, Models, one_of
from onnx_tagger.reporters import FLEET_FORMS, render_fleet

if TYPE_CHECKING:
    from onnx_tagger.model.fleet import Job

group = typer.Typer(
    help="Look at thousands of files, here or elsewhere, and write a row for each; go on where a run was broken off.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ENGINES = ("process", "dask", "ray")

Rows = Annotated[
    Path, typer.Option("-o", "--output", metavar="R", help="The rows: R.parquet, R.csv or R.jsonl.", show_default=False)
]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processes at a time; as many as there are cores if not given.")
]
EngineName = Annotated[str, typer.Option(help="Who does the work.", **one_of(_ENGINES))]
Address = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler or a Ray cluster, instead of this machine.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Keep rows of files with the same size and ETag or time, of the same version.")
]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="Time that one file may take.")]
Memory = Annotated[int, typer.Option(metavar="MB", min=100, help="Memory that one file may take.")]
Into = Annotated[Path | None, typer.Option(metavar="DIR", help="The folder for what is written of each file.")]


@group.command("check")
def check(
    models: Models,
    output: Rows,
    map_file: MapFile = None,
    min_coverage: Annotated[float, typer.Option(metavar="PERCENT", help="Smallest share of tagged nodes.")] = 100.0,
    max_root: Annotated[int, typer.Option(metavar="N", min=0, help="Most nodes that fell back to the root.")] = 0,
    max_inherited: Annotated[int | None, typer.Option(metavar="N", min=0, help="Most nodes that inherited.")] = None,
    max_named: Annotated[int | None, typer.Option(metavar="N", min=0, help="Most nodes tagged by names.")] = None,
    allow_forced: Annotated[bool, typer.Option("--allow-forced", help="Accept a map that was forced.")] = False,
    select: Annotated[list[str] | None, typer.Option(metavar="RULE", help="Look at these rules alone.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="RULE", help="Leave these rules out.")] = None,
    jobs: Jobs = None,
    engine: EngineName = "process",
    address: Address = None,
    resume: Resume = False,
    timeout: Timeout = 300.0,
    memory: Memory = 4000,
) -> None:
    """Check the tags of each file; exit with 1 if one falls short."""
    from onnx_tagger.model.fleet import Job
    from onnx_tagger.workflows.gating import ignored

    job = Job(
        ask="check",
        hierarchy=map_file,
        min_coverage=min_coverage,
        max_root=max_root,
        max_inherited=max_inherited,
        max_named=max_named,
        allow_forced=allow_forced,
        left_out=tuple(sorted(ignored(names_of(select) or (), names_of(ignore) or ()))),
        seconds=timeout,
        megabytes=memory,
    )
    _run(models, job, output, jobs, engine, address, resume)


@group.command("stats")
def stats(
    models: Models,
    output: Rows,
    map_file: MapFile = None,
    jobs: Jobs = None,
    engine: EngineName = "process",
    address: Address = None,
    resume: Resume = False,
    timeout: Timeout = 300.0,
    memory: Memory = 4000,
) -> None:
    """Count the nodes of each file by source and by module, whatever carries its tags."""
    from onnx_tagger.model.fleet import Job

    job = Job(ask="stats", hierarchy=map_file, seconds=timeout, megabytes=memory)
    _run(models, job, output, jobs, engine, address, resume)


@group.command("retag")
def retag(
    models: Models,
    output: Rows,
    into: Into = None,
    map_file: MapFile = None,
    jobs: Jobs = None,
    engine: EngineName = "process",
    address: Address = None,
    resume: Resume = False,
    timeout: Timeout = 300.0,
    memory: Memory = 4000,
) -> None:
    """Tag each file into a folder, from one map, the map beside it, or what it says itself."""
    from onnx_tagger.model.fleet import Job

    job = Job(
        ask="retag", hierarchy=map_file, into=None if into is None else str(into), seconds=timeout, megabytes=memory
    )
    _run(models, job, output, jobs, engine, address, resume)


@group.command("infer")
def infer(
    models: Models,
    output: Rows,
    into: Into = None,
    jobs: Jobs = None,
    engine: EngineName = "process",
    address: Address = None,
    resume: Resume = False,
    timeout: Timeout = 300.0,
    memory: Memory = 4000,
) -> None:
    """Say what each file tells of its modules by itself; with --into, save that as maps."""
    from onnx_tagger.model.fleet import Job

    job = Job(ask="infer", into=None if into is None else str(into), seconds=timeout, megabytes=memory)
    _run(models, job, output, jobs, engine, address, resume)


@group.command("report")
def report(
    rows: Annotated[Path, typer.Argument(metavar="R", help="What fleet has written.", show_default=False)],
    form: Annotated[str, typer.Option("--format", help="How it is printed.", **one_of(FLEET_FORMS))] = "text",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as a page.")] = None,
) -> None:
    """Add up the rows of a fleet: by producer, by architecture, and what falls short."""
    from onnx_tagger.files.replacing import replace_file
    from onnx_tagger.workflows.fleet.running import summary_of

    summary = summary_of(rows)
    if html is not None:
        replace_file(html, render_fleet(summary, "html").encode())
    screen_of_run().raw(render_fleet(summary, form))


def _run(
    models: Sequence[str], job: Job, output: Path, jobs: int | None, engine: str, address: str | None, resume: bool
) -> None:
    """Do a job with many files, and exit with 1 if one falls short."""
    from onnx_tagger.files.gathering import gather
    from onnx_tagger.workflows.fleet.running import run_fleet

    files = gather(models, sys.stdin if "-" in models else ())
    with _progress(len(files)) as progress:
        summary = run_fleet(
            files, job, output, jobs=jobs, engine=engine, address=address, resume=resume, progress=progress
        )
    screen = screen_of_run()
    if not screen.quiet:
        screen.raw(render_fleet(summary, "text"))
        screen.summary(f"{output}: a row for each file")
    raise typer.Exit(0 if summary.ok else 1)


@contextmanager
def _progress(of: int) -> Iterator[Callable[[int, int], object]]:
    """A bar with an estimate on stderr, if that is a terminal."""
    if settings.quiet or not sys.stderr.isatty():
        yield lambda done, all_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("fleet"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fleet", total=of)
        yield lambda done, all_: bar.update(task, completed=done)
