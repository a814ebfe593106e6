"""The command line as such: its name, its global options, and what the commands share.

The commands are in `commands`. Whatever takes long to import is imported inside functions, so that `--help` is answered
quickly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from onnx_tagger.errors import TaggerError

if TYPE_CHECKING:
    from onnx_tagger.cli.options import TableFormName
    from onnx_tagger.measures.table import ModuleTable
    from onnx_tagger.model.gate.settings import Settings as GateSettings
    from onnx_tagger.model.report import Report
    from onnx_tagger.reporters.jsonform import HasJson
    from onnx_tagger.reporters.terminal import Screen

_T = TypeVar("_T")

app = typer.Typer(
    name="onnx-tagger",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class Settings:
    """The global options of this run."""

    debug: bool = False
    quiet: bool = False


settings = Settings()


def _show_version(wanted: bool) -> None:
    if wanted:
        from onnx_tagger.version import version

        typer.echo(f"onnx-tagger {version()}")
        raise typer.Exit


@app.callback(epilog="--debug and --quiet may also stand behind the command.")
def _global_options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something is wrong.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, notes and summaries.")] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N,...",
            help="Take in larger or only smaller inputs: skeleton-bytes, nodes, modules, depth, string-bytes, "
            "tensor-bytes, keys, map-bytes, map-values; see docs/trust.md.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Write onto each node of an ONNX file the PyTorch module that it came from, and read it back."""
    from onnx_tagger.model.limits import limited, limits_of_texts

    settings.debug, settings.quiet = debug, quiet
    context.with_resource(limited(limits_of_texts(limit or ())))


def screen_of_run() -> Screen:
    """Where this run prints, with the global options."""
    from onnx_tagger.reporters.terminal import Screen

    return Screen(settings.quiet)


def names_of(also: Sequence[str] | None) -> list[str] | None:
    """Names that were repeated, parted by commas, or both; None if the option was not given."""
    if also is None or not also:
        return None
    return [name.strip() for text in also for name in text.split(",") if name.strip()]


def settings_of(config: Path | None, no_config: bool) -> GateSettings:
    """The settings of the file that is named, of the nearest one, or none."""
    from onnx_tagger.model.gate.settings import Settings as GateSettings
    from onnx_tagger.workflows.gate import configuring

    if no_config:
        if config is not None:
            raise TaggerError(f"{config}: --config and --no-config exclude each other; give one of them")
        return GateSettings()
    return configuring.read(config) if config is not None else configuring.find(Path())


def files_of(source: str) -> list[Path]:
    """What a SOURCE may mean as a file: itself, or the part before the factory's name."""
    return [Path(text) for text in {source, source.rpartition(":")[0]} if text]


def target_of(model: str, output: Path | None, in_place: bool) -> Path:
    """The file to write."""
    from onnx_tagger.model.urls import local_path_of, shown_place

    if output is None:
        if not in_place:
            raise TaggerError(f"{shown_place(model)}: no output is named; give -o OUT.onnx or --in-place")
        return local_path_of(model, "what --in-place would write")
    if in_place and not _same(local_path_of(model, "what --in-place would write"), output):
        raise TaggerError(f"{output}: is not the input, which --in-place would write to; give either -o or --in-place")
    return output


def check_targets(targets: Iterable[Path | None], sources: Iterable[Path | str | None]) -> None:
    """Insist before any work that every file can be written, none twice and none over one that is read."""
    from onnx_tagger.files.filecopy import permissions_of
    from onnx_tagger.files.nearby import advice_on_missing
    from onnx_tagger.model.urls import local_path_of, place_of

    places = [place_of(path, "what is read") for path in sources if path is not None]
    taken = [place for place in places if isinstance(place, Path)]
    for target in targets:
        if target is None:
            continue
        if any(_same(target, path) for path in taken):
            raise TaggerError(
                f"{target}: is read or written by this very command under another option; name another file"
            )
        local_path_of(target, "what would be written")
        if target.is_dir():
            raise TaggerError(f"{target}: is a directory; name a file to write")
        if not target.parent.is_dir():
            raise TaggerError(f"{target.parent}: no such folder; {advice_on_missing(target.parent) or 'make it first'}")
        permissions_of(target)
        taken.append(target)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except OSError:
        return False


def complain(sentence: str) -> None:
    """Say on stderr what is wrong, in a line, also with --quiet."""
    from onnx_tagger.model.texts import printable, shortened
    from onnx_tagger.reporters.colour import painted

    name = painted("onnx-tagger:", "bold red", sys.stderr)
    sys.stderr.write(f"{name} {printable(shortened(' '.join(sentence.split())))}\n")


def tell_verified(screen: Screen, report: Report) -> None:
    """Tell what running both files showed, if that was asked for."""
    found = report.verified
    if found is not None:
        screen.note(
            f"verified: {found['agreed']} of {found['tensors']} tensors agree with {found['original']} "
            f"within {found['tolerance']:g} ({found['kind']})"
        )


def tell_weights(screen: Screen, report: Report) -> None:
    """Tell what was proved of the weights, if that was asked for."""
    found = report.weights
    if found is not None:
        screen.note(f"weights unchanged: {found['tensors']} tensors, {found['bytes']} bytes, sha256 {found['sha256']}")


def finish(screen: Screen, report: Report, target: Path | None) -> None:
    """Write the report if one was asked for, and tell what was not done in the first way."""
    from onnx_tagger.reporters.summary import show_notes

    write_report(report, target)
    show_notes(screen, report)


def write_report(report: HasJson, target: Path | None) -> None:
    """Write the report if one was asked for."""
    from onnx_tagger.files.replacing import replace_file
    from onnx_tagger.reporters.jsonform import json_text

    if target is not None:
        replace_file(target, (json_text(report) + "\n").encode())


def show_table(
    screen: Screen,
    table: ModuleTable,
    form: TableFormName,
    as_json: bool = False,
    as_tsv: bool = False,
    as_markdown: bool = False,
) -> bool:
    """Print a table in the form that was asked for, and return whether it was one for machines."""
    from io import StringIO

    from onnx_tagger.reporters import render_table

    name = "json" if as_json else "tsv" if as_tsv else "markdown" if as_markdown else form.value
    if name == "text":
        return False
    out = StringIO()
    render_table(table, name, out)
    screen.raw(out.getvalue())
    return True


def save_tables(
    table: ModuleTable,
    html: Path | None = None,
    csv: Path | None = None,
    *,
    title: str = "",
    size: str | None = None,
    colour: str | None = None,
) -> None:
    """Write a table to the files that --html and --csv name, each whole or not at all, once all of them are made.

    A command asks `check_targets` before its work whether they can be written.

    Parameters
    ----------
    table : ModuleTable
    html, csv : Path, optional
        The files.
    title : str
        What the page is headed by, such as the name of the file that was measured.
    size, colour : str, optional
        The columns that modules of the page are sized and coloured by at first.
    """
    from io import StringIO

    from onnx_tagger.files.replacing import replace_file

    made: list[tuple[Path, StringIO]] = []
    if html is not None:
        from onnx_tagger.reporters.views import page

        made.append((html, StringIO()))
        page.render(table, made[-1][1], title=title, size=size, colour=colour)
    if csv is not None:
        from onnx_tagger.reporters import csv as csv_form

        made.append((csv, StringIO()))
        csv_form.render(table, made[-1][1])
    for target, text in made:
        replace_file(target, text.getvalue().encode(errors="surrogatepass"))


def on_source(
    work: Callable[[Callable[[str], None]], _T],
    screen: Screen,
    name: str,
    isolate: bool | None,
    source: str,
    written: Sequence[Path] = (),
) -> _T:
    """Do work on a model's source, in a process of its own or here, and show how far it is."""
    from onnx_tagger.workflows.isolation import isolated, wanted

    if not wanted(isolate):
        with screen.progress(name) as progress:
            return work(progress)
    # Forked before the progress has a thread.
    with isolated(work, source, written=written, debug=settings.debug) as running, screen.progress(name) as progress:
        return running.result(progress)
