"""Modules as files, for people: what is printed of a part, of several, of a splice and of gains."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_tagger.reporters.cutting import show_extraction, show_improvement, show_splice
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.cutting.extracting import Extracted, Extraction
from onnx_tagger.workflows.cutting.improving import DIFFERS, KEPT, Gain, Improvement
from onnx_tagger.workflows.cutting.splicing import Splice


def test_dropped_nodes_and_differences_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    part = Extracted("a", Path("a.onnx"), Path("a.json"), 3, 0, 2, 99, verified=False, different=("output",))
    show_extraction(Screen(), Extraction("m.onnx", (part,)))
    assert capsys.readouterr().out.splitlines() == [
        "a.onnx: 3 nodes of a, 99 bytes",
        "  dropped: 2 nodes whose results come back through other modules",
        "  map: a.json",
        "  verified: differs in output",
    ]


def test_a_splice_that_is_too_far_off_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    made = Splice("m.onnx", "", "p.onnx", Path("o.onnx"), 2, 1, {}, {}, {"y": 0.5}, 0.001)
    show_splice(Screen(), made)
    assert capsys.readouterr().out.splitlines() == [
        "o.onnx: 2 nodes of (root) replaced by 1 of p.onnx",
        "  differs: outputs at most 0.5 of their size apart, 0.001 allowed",
    ]


def test_gains_are_a_table_with_reasons_below(capsys: pytest.CaptureFixture[str]) -> None:
    gains = (
        Gain("a", KEPT, "", 0.0, 0.001, (3, 2), (90, 80), (5.0, 4.0), (0.7, 0.8, 0.9)),
        Gain("b", DIFFERS, "an output is off", 0.5, 0.001),
    )
    show_improvement(Screen(), Improvement("m.onnx", "tool", Path("o.onnx"), gains, (200, 190)))
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[1].split()) == "a put back 3 -> 2 90 -> 80 5 -> 4 0.80 (0.70 to 0.90) 0"
    assert lines[3:] == ["differs: b: an output is off", "o.onnx: 1 of 2 modules put back, 200 -> 190 bytes"]
