"""What a check found as Markdown, for the summary of a job: a table of files, and the first findings of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from onnx_tagger.model.gated import Gated, Judged
from onnx_tagger.model.report import shown_share
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.markdown import escaped
from onnx_tagger.reporters.terminal import shortened

_SHOWN = 10


def render(verdict: Verdict, out: TextIO) -> None:
    """Write the summary of one file."""
    from onnx_tagger.model.findings import findings_of

    render_many(Gated((Judged(verdict.file, verdict.report, tuple(findings_of(verdict))),)), out)


def render_many(gated: Gated, out: TextIO) -> None:
    """Write a heading, a row for each file, and a section for each that falls short."""
    out.write(f"### onnx-tagger: {'ok' if gated.ok else 'failed'}\n\n{escaped(gated.headline)}\n\n")
    out.write("| file | | nodes | tagged | sources |\n|-|-|-:|-:|-|\n")
    out.writelines(f"{_row(file)}\n" for file in gated.files)
    for file in gated.files:
        out.writelines(f"{line}\n" for line in _section(file))
    out.writelines(f"\n{escaped(note)}\n" for note in gated.notes)


def _row(file: Judged) -> str:
    report = file.report
    if report is None:
        return f"| {escaped(file.file)} | {escaped(file.headline.rpartition(': ')[2])} | | | |"
    sources = ", ".join(f"{name} {count}" for name, count in report.by_source.items() if count)
    share = shown_share(report.tagged, report.nodes)
    return f"| {escaped(file.file)} | {'ok' if file.ok else 'failed'} | {report.nodes} | {share} | {sources} |"


def _section(file: Judged) -> Iterator[str]:
    if file.ok:
        return
    yield f"\n**{escaped(file.file)}**\n"
    for each in file.findings[:_SHOWN]:
        yield f"- {each.rule.id} {escaped(shortened(each.says, 300))}"
    if len(file.findings) > _SHOWN:
        yield f"- and {len(file.findings) - _SHOWN} more"
