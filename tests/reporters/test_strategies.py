"""How strategies and their timings look side by side on a terminal."""

import re
import sys

import pytest

from onnx_tagger.exporters.truth import judging
from onnx_tagger.model.report import Report
from onnx_tagger.reporters.strategies import show_comparison, show_timings
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.benchmarking import Timing
from onnx_tagger.workflows.strategies import Comparison, Outcome


def large(reason: str = "", note: str = "") -> Comparison:
    """Columns as wide as they come, and texts from elsewhere."""
    report = Report(nodes=1234567, tagged=1234566, fallbacks=[note] if note else [])
    judgement = judging.Judgement(nodes=1234567, alone=100000)
    judgement.verdicts.update({"right": 654321})
    done = [Outcome(name, "htp", report, judgement=judgement) for name in ("htp", "usage")]
    return Comparison([Outcome("fx", "fx", reason=reason), *done], "htp", ("fx", "htp"), {"fx": reason})


@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_fits_into_80_columns(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show_comparison(Screen(), large())
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("99.9 % 1234566") == out.count("100 % 654321") == 2
    assert "  right alone" in out


@pytest.mark.parametrize("terminal", [False, True])
def test_texts_from_elsewhere_do_not_steer_the_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show_comparison(Screen(), large("[red]no\x1b]0;title\x07", "htp: \x1b[2J[bold]noted"))
    captured = capsys.readouterr()
    assert r"fx failed: [red]no\x1b]0;title\x07" in captured.out
    assert captured.err == "note: htp: \\x1b[2J[bold]noted\nnote: usage: htp: \\x1b[2J[bold]noted\n"


def test_quiet_leaves_out_the_notes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(Screen(quiet=True), large("no", "noted"))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "auto tries fx, htp in this order and takes htp, since fx failed" in captured.out


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    phases = {"export": [1.5], "digests": [0.5], "save": [2.0]}
    show_timings(Screen(), [Timing("fx", 7, phases, [2.0]), Timing("htp", reason="it cannot")])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["seconds", "fx", "htp"],
        ["tagged", "export", "4.000", "100.0%", "-"],
        ["export", "1.500", "37.5%", "-"],
        ["digests", "0.500", "12.5%", "-"],
        ["save", "2.000", "50.0%", "-"],
        ["bare", "export", "2.000", "-"],
        ["tagged", "÷", "bare", "2.000", "(2.000–2.000)", "-"],
        ["tagged", "without", "digests", "÷", "bare", "1.750", "(1.750–1.750)", "-"],
        ["nodes", "7", "-"],
        ["htp", "failed:", "it", "cannot"],
    ]
