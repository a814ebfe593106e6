"""The commands that only read: what each takes, which part of the package answers it, and what is printed of it.

What they answer lives in `checks`, `query` and `compare`, how it looks in `views` and `formats`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import app, check_targets, read_tagged, screen_of_run, write_report
from onnx_tagger.cli.options import FormatName, MapFile, Model, ReportFile


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
    report_file: ReportFile = None,
) -> None:
    """Check that every node has a tag that holds; exit with 1 if not."""
    from onnx_tagger.model.report import Limits
    from onnx_tagger.reporters.formats import FORMATS
    from onnx_tagger.reporters.terminal import show_notes
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
        )
    write_report(report, report_file)
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
    from onnx_tagger.reporters.terminal import counted, show_tree
    from onnx_tagger.workflows.querying import compared_tree, module_tree

    ctx, screen = read_tagged(model, map_file), screen_of_run()
    earlier = read_tagged(before, map_file) if before is not None else None
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
    from onnx_tagger.reporters.terminal import show_node
    from onnx_tagger.workflows.querying import find_nodes

    ctx, screen = read_tagged(model, map_file), screen_of_run()
    for op in find_nodes(ctx, node):
        show_node(screen, ctx, op)


@app.command("stats")
def _stats(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    map_file: MapFile = None,
) -> None:
    """Count nodes by source, graph and tag, by whatever convention the file carries."""
    from onnx_tagger.reporters.formats import json_text
    from onnx_tagger.reporters.terminal import show_stats
    from onnx_tagger.workflows import checking

    screen = screen_of_run()
    report = checking.stats(model, map_file)
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
    from onnx_tagger.reporters.terminal import node_line
    from onnx_tagger.workflows.querying import nodes_under

    ctx = read_tagged(model, map_file)
    screen_of_run().lines(node_line(ctx, found) for found in nodes_under(ctx, under, op or ()))


@app.command("diff")
def _diff(
    before: Annotated[Path, typer.Argument(metavar="A.onnx", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B.onnx", show_default=False)],
) -> None:
    """Compare the nodes of two files and their tags; exit with 1 if they differ."""
    from onnx_tagger.reporters.terminal import show_difference
    from onnx_tagger.workflows.diffing import diff

    left, right = read_tagged(before), read_tagged(after)
    found = diff(left, right)
    show_difference(screen_of_run(), found, left, right, (str(before), str(after)))
    raise typer.Exit(1 if found else 0)


@app.command("passes")
def _passes() -> None:
    """List the passes that retag --pass can run, with their options."""
    from onnx_tagger.passes.registry import registered
    from onnx_tagger.reporters.terminal import pass_row

    rows = [pass_row(found) for found in registered().values()]
    screen_of_run().table(("name", "owner", "touches", "options", "does"), rows)
