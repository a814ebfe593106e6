"""`onnx-tagger compare`: the first module of a file that computes something else than its reference."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onnx_tagger.cli.app import check_targets, files_of, save_tables, screen_of_run
from onnx_tagger.cli.options import CsvFile, HtmlFile, MapFile, Seed, Under, one_of
from onnx_tagger.errors import TaggerError, require
from onnx_tagger.measures.comparison.metrics import METRICS
from onnx_tagger.reporters import COMPARISON_FORMS, render_comparison

if TYPE_CHECKING:
    from onnx_tagger.exporters.sources.loading import Source
    from onnx_tagger.measures.comparison.comparison import Comparison
    from onnx_tagger.reporters.terminal import Screen

# A reference as `compare` takes it: itself, its inputs, and those by name.
Given = tuple[Any, Any, dict[str, object]]


def command(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE|A.onnx|R.npz",
            help="What the file should compute: a model source as for export, another file, or what --record wrote.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[B.onnx]", help="The file; may be left out with --record.", show_default=False),
    ] = None,
    map_file: MapFile = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="VALUES.npz|SPEC.json", help="What both are run on: arrays by name, or a description of tensors."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Run both on so many inputs.")] = 1,
    tolerance: Annotated[
        float | None, typer.Option(metavar="X", min=0, help="How far float32 tensors may be off; 1e-5 for sqnr.")
    ] = None,
    metric: Annotated[str, typer.Option(help="How far tensors are apart.", **one_of(METRICS))] = "sqnr",
    ops: Annotated[bool, typer.Option("--ops", help="Look for the nodes at fault in modules that differ.")] = False,
    stop_at_first: Annotated[
        bool, typer.Option("--stop-at-first", help="Look no further than the first module that differs.")
    ] = False,
    under: Under = None,
    depth: Annotated[int | None, typer.Option(metavar="N", min=0, help="Show no modules that lie deeper.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="How the result is printed.", **one_of(COMPARISON_FORMS))
    ] = "text",
    html: HtmlFile = None,
    csv: CsvFile = None,
    overlay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write local errors as node data for Model Explorer.")
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="C.json", help="Write the whole result to this file.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="R.npz", help="Write what the modules take and give to this file.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Compare a file with its reference, module by module; exit with 1 if something differs."""
    check_targets([html, csv, overlay, save, record], [model, map_file, inputs, *files_of(reference)])
    if model is None and record is None:
        raise TaggerError(f"{reference}: no file is named to compare with it; give B.onnx, or --record R.npz")
    require("onnxruntime", "ort", "comparing")
    screen = screen_of_run()
    other, given, kwargs = _reference(reference, inputs, seed, screen)
    if record is not None:
        other, given, kwargs = _record(other, given, kwargs, record, screen, reference, keep=ops or samples > 1)
    if model is None:
        return
    from onnx_tagger.workflows.comparing import compare

    with screen.progress("compare") as progress:
        found = compare(
            other,
            model,
            given,
            kwargs=kwargs,
            map=map_file,
            metric=metric,
            tolerance=tolerance,
            samples=samples,
            ops=ops,
            stop_at_first=stop_at_first,
            progress=progress,
        )
    _write(found, model, save, overlay)
    shown = found.filter(under or None, depth)
    save_tables(shown.modules, html, csv, title=f"{model.name} beside {found.reference}")
    text = StringIO()
    render_comparison(shown, form, text)
    if form == "text":
        headline, _, rest = text.getvalue().partition("\n")
        screen.styled(headline, "green" if found.ok else "red")
        screen.raw(rest)
    else:
        screen.raw(text.getvalue())
    raise typer.Exit(0 if found.ok else 1)


def _reference(source: str, inputs: Path | None, seed: int, screen: Screen) -> Given:
    """What `compare` takes as the reference, with its inputs."""
    if Path(source).suffix in (".onnx", ".npz"):
        return source, inputs if inputs is not None else (), {}
    require("torch", "torch", "comparing with a model")
    from onnx_tagger.exporters.sources.loading import load_source

    values = inputs is not None and inputs.suffix == ".npz"
    with screen.progress("load the model"):
        loaded = load_source(source, inputs=None if values else inputs, seed=seed)
    if values:
        assert inputs is not None
        return loaded.model, *_with_arrays(loaded, inputs)
    return loaded.model, loaded.args, loaded.kwargs


def _with_arrays(loaded: Source, path: Path) -> tuple[tuple[object, ...], dict[str, object]]:
    """A model's inputs with the values of an ``.npz`` file, by the names of its forward's parameters."""
    from onnx_tagger.exporters.recorded import with_arrays
    from onnx_tagger.runtime.feeds import given_feeds

    return with_arrays(loaded.model, loaded.args, loaded.kwargs, given_feeds(path, ()), str(path))


def _record(
    other: Any, given: Any, kwargs: dict[str, object], target: Path, screen: Screen, name: str, *, keep: bool
) -> Given:
    """Write what the modules of the reference take and give; the recording stands for it then, unless more is asked."""
    from onnx_tagger.workflows.comparing import record, record_file

    with screen.progress("record"):
        made = record_file(other, given) if isinstance(other, str) else record(other, given, kwargs=kwargs)
        made.save(target)
    screen.note(f"{target}: {len(made.values)} values of {len(made.calls)} calls of modules of {name}")
    return (other, given, kwargs) if keep else (made, (), {})


def _write(found: Comparison, model: Path, save: Path | None, overlay: Path | None) -> None:
    """Write the result and the overlay, if they were asked for."""
    from onnx_tagger.files.replacing import replace_file

    if save is not None:
        found.save(save)
    if overlay is not None:
        from onnx_tagger.reporters.views.overlay import render
        from onnx_tagger.workflows.comparing import errors_of_nodes

        text = StringIO()
        render(*errors_of_nodes(found, model), text)
        replace_file(overlay, text.getvalue().encode())
