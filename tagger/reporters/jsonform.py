"""JSON that is safe to print, such as a report in the shape that `--report` and `stats --json` share."""

from __future__ import annotations

import json
from typing import TextIO

from onnx_tagger.model.report import Report
from onnx_tagger.model.verdict import Verdict


def render(verdict: Verdict, out: TextIO) -> None:
    """Write the report as it is."""
    out.write(json_text(verdict.report) + "\n")


def json_text(report: Report) -> str:
    """The report in the shape that `--report`, `stats --json` and `check --format json` share, safe to print."""
    return safe(report.to_json())


def safe(text: str) -> str:
    """JSON text without characters that steer a terminal: JSON itself asks for escapes below U+0020 alone."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
