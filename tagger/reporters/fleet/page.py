"""A fleet's summary as a page of its own: no script, and nothing that it fetches."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, TextIO

from onnx_tagger.reporters.fleet.text import headline, tables

if TYPE_CHECKING:
    from onnx_tagger.model.fleetsummary import Summary

_STYLE = (
    ":root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;"
    "padding:0 1em}table{border-collapse:collapse;margin:.5em 0 2em}th,td{padding:.2em .8em .2em 0;text-align:left;"
    "border-bottom:1px solid #8884;vertical-align:top;overflow-wrap:anywhere}"
)


def render(summary: Summary, out: TextIO) -> None:
    """Write the summary as HTML."""
    out.write(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<meta name=viewport content='width=device-width'><title>onnx-tagger fleet</title><style>{_STYLE}</style>\n"
        f"<h1>{escape(headline(summary))}</h1>\n"
    )
    for title, headers, rows in tables(summary):
        head = "".join(f"<th>{escape(header)}" for header in headers)
        out.write(f"<h2>{escape(title)}</h2>\n<table>\n<tr>{head}\n")
        for row in rows:
            out.write("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) + "\n")
        out.write("</table>\n")
