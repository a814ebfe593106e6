"""The commands that make files: what each takes, which part of the package does it, and what is printed of it.

What they do lives in `pipeline`, `strategies`, `carrying` and `demo`; the commands that only read are in `inspection`.
All but options are imported inside the commands, so that `--help` is answered quickly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from onnx_tagger.cli.app import (
    app,
    check_targets,
    files_of,
    finish,
    names_of,
    screen_of_run,
    target_of,
    tell_verified,
    tell_weights,
)
from onnx_tagger.cli.options import (
    Also,
    Dynamic,
    Force,
    InPlace,
    Inputs,
    MapFile,
    Merge,
    MergeName,
    Model,
    NoValues,
    Opset,
    Output,
    ReportFile,
    Seed,
    SourceText,
    StrategyName,
    Values,
    Verify,
    VerifyBytes,
)
from onnx_tagger.errors import TaggerError, require

if TYPE_CHECKING:
    from onnx_tagger.reporters.terminal import Screen

T = TypeVar("T")


@app.command("demo")
def _demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the files in this new or empty folder.")
    ] = None,
) -> None:
    """Show the whole way on a small BERT, offline: export, tag, optimise, re-tag, check."""
    import tempfile

    from onnx_tagger.cli.demo import check_folder, demo

    if keep is not None:
        check_folder(keep)
        demo(keep, screen_of_run())
        return
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        demo(Path(folder), screen_of_run())


@app.command("export")
def _export(
    source: SourceText,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="M.onnx", help="The file to write.")],
    strategy: Annotated[
        StrategyName, typer.Option(help="auto tries fx (dynamo), then htp (torchscript).")
    ] = StrategyName.AUTO,
    inputs: Inputs = None,
    dynamic: Dynamic = False,
    seed: Seed = 0,
    opset: Opset = None,
    no_tag: Annotated[bool, typer.Option("--no-tag", help="The bare export, without tags and map.")] = False,
    also: Also = None,
    merge: Merge = MergeName.ENCLOSING,
    verify_bytes: VerifyBytes = False,
    report: ReportFile = None,
) -> None:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it."""
    require("torch", "torch", "export")
    from onnx_tagger.model import metadata
    from onnx_tagger.workflows import checking, exporting

    written = [output, *([] if no_tag else [checking.map_path(output)])]
    check_targets([*written, report], [*files_of(source), inputs])
    dialects = metadata.check_dialects(names_of(also) or ())
    from onnx_tagger.exporters.sources.loading import load_source

    screen = screen_of_run()
    with screen.progress("export") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        made = exporting.export(
            loaded.model,
            loaded.args,
            output,
            kwargs=loaded.kwargs,
            strategy=strategy.value,
            tag=not no_tag,
            also=dialects,
            opset=opset,
            dynamic=dynamic,
            merge=merge.value,
            verify_bytes=verify_bytes,
            progress=progress,
        )
    finish(screen, made.report, report)
    tell_weights(screen, made.report)
    result = "no tags written" if no_tag else made.report.split()
    screen.summary(f"{output}: {result}, strategy {made.report.strategy}")
    if not no_tag:
        screen.summary(f"{made.map_path}: the map, for retag and check")


@app.command("capture")
def _capture(
    source: SourceText,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="M.hierarchy.json", help="The map to write, gzipped if it ends with .gz."
        ),
    ],
    inputs: Inputs = None,
    seed: Seed = 0,
    report: ReportFile = None,
) -> None:
    """Run a model once and save its map, for an ONNX file that others exported."""
    require("torch", "torch", "capture")
    from onnx_tagger.workflows import exporting

    if output.suffix == ".onnx":
        raise TaggerError(f"{output}: a map is no ONNX file; name it {output.with_suffix('.hierarchy.json').name}")
    check_targets([output, report], [*files_of(source), inputs])
    from onnx_tagger.exporters.sources.loading import load_source
    from onnx_tagger.model.report import Report
    from onnx_tagger.reporters.terminal import counted

    screen = screen_of_run()
    with screen.progress("capture") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        progress("run it")
        told = Report()
        hierarchy = exporting.capture(loaded.model, loaded.args, kwargs=loaded.kwargs, report=told)
        with told.phase("save map"):
            hierarchy.save(output)
    finish(screen, told, report)
    parts = f"{counted(len(hierarchy.modules), 'module')}, {counted(len(hierarchy.parameters), 'parameter')}"
    screen.summary(f"{output}: {parts}")


def _on_model(measure: Callable[..., T], screen: Screen, name: str, source: str, inputs: Path | None, seed: int) -> T:
    """Load a model and hand it on, with its inputs, to what measures it."""
    from onnx_tagger.exporters.sources.loading import load_source

    with screen.progress(name) as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        return measure(loaded.model, loaded.args, kwargs=loaded.kwargs, progress=progress)


@app.command("strategies")
def _strategies(
    source: SourceText,
    truth: Annotated[
        bool, typer.Option("--truth", help="Run the model and each file, and count how many tags are right.")
    ] = False,
    inputs: Inputs = None,
    dynamic: Dynamic = False,
    seed: Seed = 0,
    opset: Opset = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Compare the strategies on a model: seconds, coverage, and what auto takes."""
    require("torch", "torch", "comparing strategies")
    if truth:
        require("onnxruntime", "ort", "truth by execution")
    import json

    from onnx_tagger.reporters.terminal import show_comparison
    from onnx_tagger.workflows.strategies import compare

    screen = screen_of_run()
    measure = functools.partial(compare, opset=opset, dynamic=dynamic, truth=truth)
    found = _on_model(measure, screen, "strategies", source, inputs, seed)
    if as_json:
        # Plain ASCII: nothing in it steers a terminal.
        screen.raw(json.dumps(found.as_dict(), indent=1))
    else:
        show_comparison(screen, found)


@app.command("bench")
def _bench(
    source: SourceText,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="How often each export is measured.")] = 3,
    inputs: Inputs = None,
    dynamic: Dynamic = False,
    seed: Seed = 0,
    opset: Opset = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Measure what tagging adds to an export of a model: seconds by phase, and the ratio to the bare export."""
    require("torch", "torch", "measuring exports")
    import json

    from onnx_tagger.reporters.terminal import show_timings
    from onnx_tagger.workflows.benchmarking import bench

    screen = screen_of_run()
    measure = functools.partial(bench, opset=opset, dynamic=dynamic, rounds=rounds)
    found = _on_model(measure, screen, "bench", source, inputs, seed)
    if as_json:
        screen.raw(json.dumps([timing.as_dict() for timing in found], indent=1))
    else:
        show_timings(screen, found)


@app.command("retag")
def _retag(
    model: Model,
    map_file: MapFile = None,
    output: Output = None,
    merge: Merge = MergeName.ENCLOSING,
    also: Also = None,
    passes: Annotated[
        list[str] | None,
        typer.Option(
            "--pass", metavar="NAME[:k=v,...]", help="Run this pass, too, before tags are written; repeatable."
        ),
    ] = None,
    verify: Verify = False,
    verify_bytes: VerifyBytes = False,
    values: Values = None,
    force: Force = False,
    no_values: NoValues = False,
    in_place: InPlace = False,
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link external weight data into another folder instead of copying it.")
    ] = False,
    ir_version: Annotated[
        int | None, typer.Option(metavar="N", min=3, help="Write this IR version; the specification asks for 10.")
    ] = None,
    report: ReportFile = None,
) -> None:
    """Tag an ONNX file from a saved map, or from what its own metadata says."""
    from onnx_tagger.passes.registry import make_pass
    from onnx_tagger.workflows import retagging

    target = target_of(model, output, in_place)
    check_targets([target, report], [map_file, values])
    check_targets([report], [model])
    steps = [make_pass(text) for text in passes or ()]
    screen = screen_of_run()
    with screen.progress("retag") as progress:
        told = retagging.retag(
            model,
            map_file,
            target,
            merge=merge.value,
            also=names_of(also),
            passes=steps,
            force=force,
            values=not no_values,
            verify=verify,
            verify_bytes=verify_bytes,
            inputs=values,
            in_place=in_place,
            link=link,
            ir_version=ir_version,
            progress=progress,
        )
    finish(screen, told, report)
    tell_verified(screen, told)
    tell_weights(screen, told)
    screen.summary(f"{target}: {told.split()}")


@app.command("carry", epilog="For example: onnx-tagger carry bert.onnx -o slim.onnx -- onnxslim {in} {out}")
def _carry(
    model: Annotated[
        Path, typer.Argument(metavar="IN.onnx", help="The tagged file that the tool reads.", show_default=False)
    ],
    tool: Annotated[
        list[str],
        typer.Argument(
            metavar="TOOL",
            help="Behind --, the tool's command line; {in} and {out} in it stand for the paths of its input and of "
            "its result.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.")],
    map_file: Annotated[
        Path | None,
        typer.Option("--map", metavar="MAP", help="Tag from this .hierarchy.json or .onnx, and not from IN.onnx."),
    ] = None,
    merge: Merge = MergeName.ENCLOSING,
    also: Also = None,
    verify: Verify = False,
    values: Values = None,
    force: Force = False,
    no_values: NoValues = False,
    report: ReportFile = None,
) -> None:
    """Run another tool on a tagged file and tag what it makes of it."""
    from onnx_tagger.workflows import carrying

    command = carrying.Command(tool)
    check_targets([output, report], [model, map_file, values])
    screen = screen_of_run()
    told = carrying.carry(
        model,
        output,
        command,
        hierarchy=map_file,
        merge=merge.value,
        also=names_of(also),
        force=force,
        values=not no_values,
        verify=verify,
        inputs=values,
    )
    finish(screen, told, report)
    tell_verified(screen, told)
    screen.summary(f"{output}: {told.split()}")


@app.command("strip")
def _strip(
    model: Model,
    output: Output = None,
    stack_traces: Annotated[
        bool, typer.Option("--stack-traces", help="Also remove the local paths that torch leaves on nodes.")
    ] = False,
    in_place: InPlace = False,
    verify_bytes: VerifyBytes = False,
    report: ReportFile = None,
) -> None:
    """Remove what onnx-tagger wrote into a file, and nothing else."""
    from onnx_tagger.model.report import Report
    from onnx_tagger.reporters.terminal import counted
    from onnx_tagger.workflows import retagging

    target = target_of(model, output, in_place)
    check_targets([target, report], [])
    check_targets([report], [model])
    told, screen = Report(), screen_of_run()
    with screen.progress("strip"):
        changed = retagging.strip(
            model, target, stack_traces=stack_traces, in_place=in_place, verify_bytes=verify_bytes, report=told
        )
    finish(screen, told, report)
    tell_weights(screen, told)
    screen.summary(f"{target}: {counted(changed, 'node')} stripped")
