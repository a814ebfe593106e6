"""`onnx-tagger attribute`: a profile that was taken elsewhere, module by module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, save_tables, screen_of_run, show_table
from onnx_tagger.cli.options import AsMarkdown, CsvFile, Force, HtmlFile, MapFile, TableFormName, Under, one_of


def command(
    profile: Annotated[
        Path,
        typer.Argument(
            metavar="PROFILE",
            help="What onnxruntime, OpenVINO or TensorRT wrote; see docs/attribute.md for the forms.",
            show_default=False,
        ),
    ],
    model: Annotated[str, typer.Option("--model", metavar="M.onnx", help="The ONNX file that was run, or its URL.")],
    form: Annotated[
        str, typer.Option("--format", help="What wrote it.", **one_of(("auto", "ort", "openvino", "trt")))
    ] = "auto",
    layers: Annotated[
        Path | None,
        typer.Option(metavar="L.json", help="Of TensorRT: the exported layer information, which names nodes."),
    ] = None,
    map_file: MapFile = None,
    by: Annotated[
        str, typer.Option(help="What a row is.", **one_of(("module", "class", "operator", "call")))
    ] = "module",
    depth: Annotated[int | None, typer.Option(min=0, help="Levels of modules to show; 4 if left out.")] = None,
    under: Under = None,
    sort: Annotated[str, typer.Option(metavar="COLUMN", help="The column that rows are sorted by, or order.")] = "time",
    force: Force = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="P.json", help="Save the profile.")] = None,
    csv: CsvFile = None,
    html: HtmlFile = None,
    as_markdown: AsMarkdown = False,
) -> None:
    """Show by module where the time went in a profile that another runtime or machine took."""
    from onnx_tagger.measures.profiling.groups import grouped
    from onnx_tagger.reporters.profiling.text import show_profile
    from onnx_tagger.workflows.profiling.attributing import attribute
    from onnx_tagger.workflows.profiling.rows import chosen_rows

    check_targets([output, csv, html], [profile, model, map_file, layers])
    screen = screen_of_run()
    with screen.progress("attribute"):
        found = attribute(profile, model, map_file, form=None if form == "auto" else form, layers=layers, force=force)
    rows_by = "operator" if by == "module" and found.attributed[0] == 0 else by
    shown = grouped(found, rows_by)
    table = chosen_rows(shown, under if shown is found else None, depth, sort)
    if not show_table(screen, table, TableFormName.TEXT, as_markdown=as_markdown):
        show_profile(screen, found, table, by=rows_by, whole=bool(under) or depth is not None)
    if output is not None:
        found.save(output)
    save_tables(table, html, csv, title=found.model, size="time")
