"""A verdict as workflow commands of GitHub: an error for each limit and node that falls short, and a summary."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.terminal import printable, shortened

_SHOWN = 50


def render(verdict: Verdict, out: TextIO) -> None:
    """Write an annotation for each limit and node that falls short, up to 50, and one that sums them up."""
    if verdict.report.ok:
        out.write(annotation("notice", verdict.file, "onnx-tagger check", verdict.headline))
        return
    texts = [*verdict.broken, *verdict.single]
    for text in texts[:_SHOWN]:
        out.write(annotation("error", verdict.file, "onnx-tagger check", text))
    more = f"; {len(texts) - _SHOWN} more are not shown" if len(texts) > _SHOWN else ""
    out.write(annotation("error", verdict.file, "onnx-tagger check: summary", verdict.headline + more))


def annotation(level: str, file: str, title: str, message: str) -> str:
    """One annotation: ``error``, ``warning`` or ``notice``, on a file, with a title and a message."""
    return f"::{level} file={_property(file)},title={_property(title)}::{_data(shortened(message))}\n"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
