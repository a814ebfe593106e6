"""What a check found as workflow commands of GitHub: an error for each of the first findings, and a summary.

GitHub shows ten annotations of a kind for each step and drops the rest without a word.
"""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.model.findings import Finding, findings_of
from onnx_tagger.model.gated import Gated
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.terminal import printable, shortened

# With the summary, which comes last, these are ten.
_SHOWN = 9


def render(verdict: Verdict, out: TextIO) -> None:
    """Write an annotation for each of the first findings, and one that sums them up."""
    findings = [] if verdict.report.ok else findings_of(verdict)
    _write(findings, verdict.file, verdict.headline, out)


def render_many(gated: Gated, out: TextIO) -> None:
    """Write an annotation for each of the first findings of all files, and one that sums them up."""
    _write(gated.findings, "", gated.headline, out)


def _write(findings: list[Finding], file: str, headline: str, out: TextIO) -> None:
    if not findings:
        out.write(annotation("notice", file, "onnx-tagger check", headline))
        return
    for each in findings[:_SHOWN]:
        out.write(annotation("error", each.file, f"{each.rule.id} {each.rule.name}", each.says))
    more = f"; {len(findings) - _SHOWN} more are not shown" if len(findings) > _SHOWN else ""
    out.write(annotation("error", file, "onnx-tagger check: summary", headline + more))


def annotation(level: str, file: str, title: str, message: str) -> str:
    """A workflow command that shows a message, at a file if one is named."""
    place = f"file={_property(file)}," if file else ""
    return f"::{level} {place}title={_property(title)}::{_data(shortened(message))}\n"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
