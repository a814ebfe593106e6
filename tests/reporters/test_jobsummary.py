"""The summary of a job: a row for each file, and nothing in a name is markup."""

from __future__ import annotations

from io import StringIO

from examples.verdicts import rendered, report_of
from onnx_tagger.model.findings import UNREADABLE, UNTAGGED, Finding
from onnx_tagger.model.gated import Gated, Judged
from onnx_tagger.model.report import Limits
from onnx_tagger.reporters import render_gated


def test_rows_and_sections() -> None:
    bad = tuple(Finding(UNTAGGED, "b.onnx", f"n{number} has no tag", f"main#{number} Add") for number in range(12))
    files = (
        Judged("a.onnx", report_of(exported=4)),
        Judged("b.onnx", report_of(untagged=("main#1 Add",), exported=3), bad),
        Judged("c.onnx", None, (Finding(UNREADABLE, "c.onnx", "c.onnx: no such file"),)),
    )
    out = StringIO()
    render_gated(Gated(files), "markdown", out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "### onnx-tagger: failed"
    assert "| a.onnx | ok | 4 | 100 % | exported 4 |" in lines
    assert "| b.onnx | failed | 4 | 75.0 % | exported 3 |" in lines
    assert "| c.onnx | cannot be read | | | |" in lines
    assert lines[-3:] == ["**c.onnx**", "", "- OT006 c.onnx: no such file"]
    assert "- and 2 more" in lines


def test_names_are_no_markup() -> None:
    text = rendered("markdown", "a|b*c.onnx", report_of(untagged=("main#0 <b>",)), Limits())
    assert "<b>" not in text
    assert r"a\|b\*c.onnx" in text
