"""Counts of many files, a row for each, in the forms of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from onnx_tagger.model.counted import FileCount, FileCounts
from onnx_tagger.model.metadata import Source
from onnx_tagger.model.report import shown_share
from onnx_tagger.reporters.jsonform import json_text
from onnx_tagger.reporters.markdown import escaped
from onnx_tagger.reporters.terminal import printable, shortened
from onnx_tagger.reporters.tsv import render_rows

HEADS = ("file", "nodes", "tagged", *(source.label for source in Source), "error")

FORMS = ("text", "json", "csv", "tsv", "markdown")


def render(counts: FileCounts, form: str, out: TextIO) -> None:
    """Write the counts in one of the `FORMS`."""
    if form == "json":
        out.write(json_text(counts) + "\n")
    elif form == "csv":
        csv.writer(out, lineterminator="\n").writerows([HEADS, *map(_cells, counts.files)])
    elif form == "tsv":
        render_rows([HEADS, *map(_cells, counts.files)], out)
    elif form == "markdown":
        out.writelines(f"{line}\n" for line in _markdown(counts))
    else:
        lines = [*(each.headline for each in counts.files), counts.headline]
        out.writelines(f"{printable(shortened(line))}\n" for line in lines)


def _cells(each: FileCount) -> list[str]:
    if each.report is None:
        return [printable(each.file), *([""] * (len(HEADS) - 2)), printable(each.error)]
    report = each.report
    sources = (str(report.by_source[source.label]) for source in Source)
    return [printable(each.file), str(report.nodes), str(report.tagged), *sources, ""]


def _markdown(counts: FileCounts) -> Iterator[str]:
    yield "| file | nodes | tagged | sources |"
    yield "|-|-:|-:|-|"
    for each in counts.files:
        if each.report is None:
            yield f"| {escaped(each.file)} | | | {escaped(shortened(each.error, 300))} |"
            continue
        report = each.report
        split = ", ".join(f"{name} {count}" for name, count in report.by_source.items() if count)
        yield f"| {escaped(each.file)} | {report.nodes} | {shown_share(report.tagged, report.nodes)} | {split} |"
