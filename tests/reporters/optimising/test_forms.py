"""The report of an optimisation in each form, with texts that mean something to the form."""

from __future__ import annotations

from io import StringIO

import pytest

from examples.optimised import report
from onnx_tagger.reporters.optimising import markdown, page
from onnx_tagger.reporters.optimising.rows import HEADERS, rows_of, sentences_of
from onnx_tagger.reporters.optimising.text import show
from onnx_tagger.reporters.terminal import Screen


def test_rows() -> None:
    rows = rows_of(report())
    assert {len(row) for row in rows} == {len(HEADERS)}
    assert rows[1][:6] == ["fusions/all", "x1.25 [1.20, 1.30]", "40", "10.0", "0.00", "0.00"]
    assert rows[3][1:9] == [""] * 8
    assert sentences_of(report()) == [
        "fusions/all it is",
        "run it with level=basic",
        "fusions/all changed most: (root) 1 -> 0, a|b 8 -> 5",
        "busy",
    ]


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    show(Screen(quiet=False), report())
    out = capsys.readouterr().out
    assert "fusions/all it is" in out
    assert "graph/<slim>" in out


def test_markdown() -> None:
    out = StringIO()
    markdown.render(report(), out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "**fusions/all it is**"
    assert lines[2].count("|") == lines[3].count("|") == len(HEADERS) + 1
    assert r"graph/\<slim\>" in out.getvalue()


def test_page() -> None:
    out = StringIO()
    page.render(report(), out)
    text = out.getvalue()
    assert text.startswith("<!doctype html>")
    assert "graph/&lt;slim&gt;" in text
    assert "<slim>" not in text
    assert "<script" not in text
    assert '<tr class="failed">' in text
