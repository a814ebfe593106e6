"""The commands: what each takes, which part of the package does it, and what is printed of it.

What they do lives in `pipeline`, `strategies`, `checks`, `query` and `demo`, how it looks in `views` and `formats`, and
what happens when something is wrong in `cli`. All but the last are imported inside the commands, so that `--help` is
answered quickly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.options import (
    Also,
    Dynamic,
    Force,
    FormatName,
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
)

if TYPE_CHECKING:
    from onnx_tagger.passes.base import Context
    from onnx_tagger.report import Report
    from onnx_tagger.views import Screen

app = typer.Typer(
    name="onnx-tagger",
    add_completion=False,
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
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something is wrong.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, notes and summaries.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Write onto each node of an ONNX file the PyTorch module that it came from, and read it back."""
    settings.debug, settings.quiet = debug, quiet


@app.command("demo")
def _demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the files in this new or empty folder.")
    ] = None,
) -> None:
    """Show the whole way on a small BERT, offline: export, tag, optimise, re-tag, check."""
    import tempfile

    from onnx_tagger.demo import check_folder, demo

    if keep is not None:
        check_folder(keep)
        demo(keep, _screen())
        return
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        demo(Path(folder), _screen())


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
    report: ReportFile = None,
) -> None:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it."""
    require("torch", "torch", "export")
    from onnx_tagger import checks, metadata, pipeline

    written = [output, *([] if no_tag else [checks.map_path(output)])]
    _check_targets([*written, report], [*_files_of(source), inputs])
    dialects = metadata.check_dialects(_names(also) or ())
    from onnx_tagger.exporters.sources import load_source

    screen = _screen()
    with screen.progress("export") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        made = pipeline.export(
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
            progress=progress,
        )
    _finish(screen, made.report, report)
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
) -> None:
    """Run a model once and save its map, for an ONNX file that others exported."""
    require("torch", "torch", "capture")
    from onnx_tagger import pipeline

    if output.suffix == ".onnx":
        raise TaggerError(f"{output}: a map is no ONNX file; name it {output.with_suffix('.hierarchy.json').name}")
    _check_targets([output], [*_files_of(source), inputs])
    from onnx_tagger.exporters.sources import load_source
    from onnx_tagger.views import counted

    screen = _screen()
    with screen.progress("capture") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        progress("run it")
        hierarchy = pipeline.capture(loaded.model, loaded.args, kwargs=loaded.kwargs)
        hierarchy.save(output)
    parts = f"{counted(len(hierarchy.modules), 'module')}, {counted(len(hierarchy.parameters), 'parameter')}"
    screen.summary(f"{output}: {parts}")


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

    from onnx_tagger.exporters.sources import load_source
    from onnx_tagger.strategies import compare
    from onnx_tagger.views import show_comparison

    screen = _screen()
    with screen.progress("strategies") as progress:
        progress("load the model")
        loaded = load_source(source, inputs=inputs, seed=seed)
        found = compare(
            loaded.model,
            loaded.args,
            kwargs=loaded.kwargs,
            opset=opset,
            dynamic=dynamic,
            truth=truth,
            progress=progress,
        )
    if as_json:
        # Plain ASCII: nothing in it steers a terminal.
        screen.raw(json.dumps(found.as_dict(), indent=1))
    else:
        show_comparison(screen, found)


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
    from onnx_tagger import pipeline
    from onnx_tagger.passes.registry import make_pass

    target = _target(model, output, in_place)
    _check_targets([target, report], [map_file, values])
    _check_targets([report], [model])
    steps = [make_pass(text) for text in passes or ()]
    screen = _screen()
    with screen.progress("retag") as progress:
        told = pipeline.retag(
            model,
            map_file,
            target,
            merge=merge.value,
            also=_names(also),
            passes=steps,
            force=force,
            values=not no_values,
            verify=verify,
            inputs=values,
            in_place=in_place,
            link=link,
            ir_version=ir_version,
            progress=progress,
        )
    _finish(screen, told, report)
    _tell_verified(screen, told)
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
    from onnx_tagger import carrying

    command = carrying.Command(tool)
    _check_targets([output, report], [model, map_file, values])
    screen = _screen()
    told = carrying.carry(
        model,
        output,
        command,
        hierarchy=map_file,
        merge=merge.value,
        also=_names(also),
        force=force,
        values=not no_values,
        verify=verify,
        inputs=values,
    )
    _finish(screen, told, report)
    _tell_verified(screen, told)
    screen.summary(f"{output}: {told.split()}")


@app.command("check")
def _check(
    model: Model,
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
    form: Annotated[FormatName, typer.Option("--format", help="How the verdict is printed.")] = FormatName.TEXT,
) -> None:
    """Check that every node has a tag that holds; exit with 1 if not."""
    from onnx_tagger import checks
    from onnx_tagger.formats import FORMATS
    from onnx_tagger.report import Limits
    from onnx_tagger.views import show_notes

    screen = _screen()
    with screen.progress("check"):
        report = checks.check(
            model,
            map_file,
            dialect=dialect,
            min_coverage=min_coverage,
            max_root=max_root,
            max_inherited=max_inherited,
        )
    text = FORMATS[form.value](str(model), report, Limits(min_coverage, max_root, max_inherited))
    if form is FormatName.TEXT:
        headline, *rest = text.splitlines()
        screen.styled(headline, "green" if report.ok else "red")
        screen.lines(rest)
        show_notes(screen, report)
    else:
        screen.raw(text)
    raise typer.Exit(0 if report.ok else 1)


@app.command("tree")
def _tree(
    model: Model,
    depth: Annotated[int | None, typer.Option(metavar="N", min=0, help="Levels below the root to show.")] = None,
    map_file: MapFile = None,
    before: Annotated[
        Path | None,
        typer.Option(metavar="A.onnx", help="The file that M.onnx was made of: how many nodes came in, and are left."),
    ] = None,
) -> None:
    """Show the module tree with the number of nodes of each module."""
    from onnx_tagger.query import compared_tree, module_tree
    from onnx_tagger.views import counted, show_tree

    ctx, screen = _read(model, map_file), _screen()
    earlier = _read(before, map_file) if before is not None else None
    for file, read in ((before, earlier), (model, ctx)):
        if read is not None and not read.tags:
            screen.lines([f"{file}: no tags on {counted(len(read.walk.counted), 'node')}"])
            return
    tree = module_tree(ctx) if earlier is None else compared_tree(earlier, ctx)
    show_tree(screen, tree, sum(op not in ctx.tags for op in ctx.walk.counted), depth)


@app.command("show")
def _show(
    model: Model,
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE",
            help="Name of a node, an id such as main#4, or a tensor that the node makes.",
            show_default=False,
        ),
    ],
    map_file: MapFile = None,
) -> None:
    """Show a node: its module, how that was found, and the modules around it."""
    from onnx_tagger.query import find_nodes
    from onnx_tagger.views import show_node

    ctx, screen = _read(model, map_file), _screen()
    for op in find_nodes(ctx, node):
        show_node(screen, ctx, op)


@app.command("stats")
def _stats(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    map_file: MapFile = None,
) -> None:
    """Count nodes by source, graph and tag, by whatever convention the file carries."""
    from onnx_tagger import checks
    from onnx_tagger.formats import json_text
    from onnx_tagger.views import show_stats

    screen = _screen()
    report = checks.stats(model, map_file)
    if as_json:
        screen.raw(json_text(report))
    else:
        show_stats(screen, report)


@app.command("nodes")
def _nodes(
    model: Model,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Only nodes that do work of this module or of one in it: module path or tag."
        ),
    ] = None,
    op: Annotated[list[str] | None, typer.Option(metavar="TYPE", help="Only this operator; repeatable.")] = None,
    map_file: MapFile = None,
) -> None:
    """List nodes, one a line: name, operator, module."""
    from onnx_tagger.query import nodes_under
    from onnx_tagger.views import node_line

    ctx = _read(model, map_file)
    _screen().lines(node_line(ctx, found) for found in nodes_under(ctx, under, op or ()))


@app.command("diff")
def _diff(
    before: Annotated[Path, typer.Argument(metavar="A.onnx", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B.onnx", show_default=False)],
) -> None:
    """Compare the nodes of two files and their tags; exit with 1 if they differ."""
    from onnx_tagger.compare import diff
    from onnx_tagger.views import show_difference

    left, right = _read(before), _read(after)
    found = diff(left, right)
    show_difference(_screen(), found, left, right, (str(before), str(after)))
    raise typer.Exit(1 if found else 0)


@app.command("strip")
def _strip(
    model: Model,
    output: Output = None,
    stack_traces: Annotated[
        bool, typer.Option("--stack-traces", help="Also remove the local paths that torch leaves on nodes.")
    ] = False,
    in_place: InPlace = False,
) -> None:
    """Remove what onnx-tagger wrote into a file, and nothing else."""
    from onnx_tagger import pipeline
    from onnx_tagger.views import counted

    target = _target(model, output, in_place)
    screen = _screen()
    with screen.progress("strip"):
        changed = pipeline.strip(model, target, stack_traces=stack_traces, in_place=in_place)
    screen.summary(f"{target}: {counted(changed, 'node')} stripped")


@app.command("passes")
def _passes() -> None:
    """List the passes that retag --pass can run, with their options."""
    from onnx_tagger.passes.registry import registered
    from onnx_tagger.views import pass_row

    rows = [pass_row(found) for found in registered().values()]
    _screen().table(("name", "owner", "touches", "options", "does"), rows)


# --- what the commands share ------------------------------------------------------------------------------------------


def _screen() -> Screen:
    from onnx_tagger.views import Screen

    return Screen(settings.quiet)


def _read(model: Path, map_file: Path | None = None) -> Context:
    """A file's tags, by whatever convention it carries."""
    from onnx_tagger.checks import load_map, read_tags
    from onnx_tagger.onnxfile import read_skeleton

    return read_tags(read_skeleton(model).model, load_map(map_file) if map_file is not None else None)


def _names(also: Sequence[str] | None) -> list[str] | None:
    """Names that were repeated, parted by commas, or both; None if the option was not given."""
    if also is None or not also:
        return None
    return [name.strip() for text in also for name in text.split(",") if name.strip()]


def _files_of(source: str) -> list[Path]:
    """What a SOURCE may mean as a file: itself, or the part before the factory's name."""
    return [Path(text) for text in {source, source.rpartition(":")[0]} if text]


def _target(model: Path, output: Path | None, in_place: bool) -> Path:
    """The file to write."""
    if output is None:
        if not in_place:
            raise TaggerError(f"{model}: no output is named; give -o OUT.onnx or --in-place")
        return model
    if in_place and not _same(model, output):
        raise TaggerError(f"{output}: is not the input, which --in-place would write to; give either -o or --in-place")
    return output


def _check_targets(targets: Iterable[Path | None], sources: Iterable[Path | None]) -> None:
    """Insist before any work that every file can be written, none twice and none over one that is read."""
    from onnx_tagger.filecopy import permissions_of

    taken = [path for path in sources if path is not None]
    for target in targets:
        if target is None:
            continue
        if any(_same(target, path) for path in taken):
            raise TaggerError(
                f"{target}: is read or written by this very command under another option; name another file"
            )
        if target.is_dir():
            raise TaggerError(f"{target}: is a directory; name a file to write")
        if not target.parent.is_dir():
            raise TaggerError(f"{target.parent}: no such folder; make it first")
        permissions_of(target)
        taken.append(target)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except OSError:
        return False


def _tell_verified(screen: Screen, report: Report) -> None:
    """Tell what running both files showed, if that was asked for."""
    found = report.verified
    if found is not None:
        screen.note(
            f"verified: {found['agreed']} of {found['tensors']} tensors agree with {found['original']} "
            f"within {found['tolerance']:g} ({found['kind']})"
        )


def _finish(screen: Screen, report: Report, target: Path | None) -> None:
    """Write the report if one was asked for, and tell what was not done in the first way."""
    from onnx_tagger.files import replace_file
    from onnx_tagger.formats import json_text
    from onnx_tagger.views import show_notes

    if target is not None:
        replace_file(target, (json_text(report) + "\n").encode())
    show_notes(screen, report)
