"""The report of an optimisation as a page of HTML that stands alone: no script, and nothing that it fetches."""

from __future__ import annotations

from html import escape
from typing import TextIO

from onnx_tagger.measures.optimising.optimised import Optimized
from onnx_tagger.reporters.optimising.rows import HEADERS, NUMBERS, rows_of, sentences_of

_STYLE = (
    "body{font:14px/1.4 sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.2em .6em;text-align:left;"
    "border-bottom:1px solid #ccc}td.n{text-align:right;white-space:nowrap}tr.kept{font-weight:bold}"
    "tr.failed,tr.dropped{color:#666}"
)


def render(found: Optimized, out: TextIO) -> None:
    """Write the page."""
    title = escape(f"{found.output}: optimised from {found.model}")
    verdict, *others = sentences_of(found)
    out.write(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        f"<p><b>{escape(verdict)}</b></p>\n<table><thead><tr>"
    )
    out.write("".join(f"<th>{escape(name)}</th>" for name in HEADERS) + "</tr></thead><tbody>\n")
    for each, row in zip(found.tries, rows_of(found), strict=True):
        cells = (f"<td{' class=n' if place in NUMBERS else ''}>{escape(cell)}</td>" for place, cell in enumerate(row))
        out.write(f'<tr class="{each.outcome}">{"".join(cells)}</tr>\n')
    out.write("</tbody></table>\n")
    out.writelines(f"<p>{escape(line)}</p>\n" for line in others)
    out.write(f"<p>{escape(found.runtime)}, {escape(found.created_by)}</p>\n</body></html>\n")
