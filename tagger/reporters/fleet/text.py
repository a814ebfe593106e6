"""A fleet's summary as text: tables by producer and architecture, the rules that are broken, and the first errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from onnx_tagger.model.report import shown_share
from onnx_tagger.model.texts import counted, printable, shortened

if TYPE_CHECKING:
    from onnx_tagger.model.fleetsummary import Group, Summary

# Groups that a table spells out.
MOST = 15

Table = tuple[str, Sequence[str], list[list[str]]]


def render(summary: Summary, out: TextIO) -> None:
    """Write the summary as plain text."""
    out.write(headline(summary) + "\n")
    for title, headers, rows in tables(summary):
        out.write(f"\n{title}\n")
        _lines(headers, rows, out)


def headline(summary: Summary) -> str:
    """A line over all files."""
    whole = summary.whole
    end = f"{whole.short} fall short ({whole.unreadable} cannot be read)" if whole.short else "all ok"
    share = shown_share(whole.tagged, whole.nodes)
    return f"{counted(whole.files, 'file')}: {end}, {share} of {whole.nodes} nodes tagged"


def tables(summary: Summary) -> list[Table]:
    """Title, headers and cells of each table that has something to say."""
    found: list[Table] = [
        _groups("by producer", summary.producers),
        _groups("by architecture", summary.architectures),
        (
            "what falls short",
            ("rule", "findings", "files", "such as"),
            [
                [rule, str(findings), str(files), printable(shortened(", ".join(first), 200))]
                for rule, (findings, files, first) in summary.rules.items()
            ],
        ),
        (
            "cannot be read",
            ("file", "why"),
            [[printable(shortened(url, 200)), printable(shortened(why, 300))] for url, why in summary.errors],
        ),
    ]
    return [table for table in found if table[2]]


def _groups(title: str, groups: Mapping[str, Group]) -> Table:
    rows = [
        [
            printable(shortened(name, 100)) or "(not said)",
            str(group.files),
            str(group.short),
            str(group.nodes),
            shown_share(group.tagged, group.nodes),
            ", ".join(f"{source} {number}" for source, number in group.by_source.items()),
        ]
        for name, group in list(groups.items())[:MOST]
    ]
    if len(groups) > MOST:
        rest = list(groups.values())[MOST:]
        rows.append([f"{len(rest)} more", str(sum(each.files for each in rest)), "", "", "", ""])
    return title, (title.removeprefix("by "), "files", "short", "nodes", "tagged", "sources"), rows


def _lines(headers: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    """Columns side by side, the last one as wide as it is."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        out.write("  ".join([*cells, row[-1]]).rstrip() + "\n")
