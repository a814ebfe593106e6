"""Comparisons in all forms of output."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from io import StringIO

import pytest

from examples.compared import comparison
from onnx_tagger.reporters import COMPARISON_FORMS, render_comparison


def rendered(form: str, *, bad: bool = True, depth: int | None = None) -> str:
    out = StringIO()
    render_comparison(comparison(bad=bad).filter(depth=depth), form, out)
    return out.getvalue()


def test_text_says_what_differs_first_and_what_is_not_visible() -> None:
    lines = rendered("text").splitlines()
    assert lines[0] == "m.onnx beside Net: 1 module differs, first a.x"
    assert lines[1] == (
        "  a.x: is off by 5.0e-02 by itself (at most 1.0e-05 is allowed for float32), at the tensor 't|1'"
    )
    assert lines[2] == "    main#4 MatMul 'mm' is the first to compute what the reference does not, 't0'"
    assert [line.split() for line in lines[4:8]] == [
        ["module", "local", "accumulated", "allowed", "tensors"],
        ["a", "1.0e-07", "5.0e-02", "1.0e-05", "1", "ok", "by", "itself,", "off", "before"],
        ["a.x", "5.0e-02", "5.0e-02", "1.0e-05", "1", "differs"],
        ["b", "0.0e+00", "inf", "1.0e-05", "1", "ok", "by", "itself,", "off", "before"],
    ]
    assert lines[-3:] == [
        "visible: 4 of 5 modules that ran, by 3 tensors, which 98.5 % of the nodes lead to",
        "a note",
        "  c: not visible: fused with a",
    ]


def test_text_of_what_agrees() -> None:
    assert rendered("text", bad=False).startswith("m.onnx beside Net: no module differs\n\nmodule")


def test_a_module_stands_for_what_lies_below_the_depth_that_is_shown() -> None:
    lines = [line.split() for line in rendered("text", depth=1).splitlines()]
    assert ["a", "5.0e-02", "5.0e-02", "1.0e-05", "2", "differs"] in lines


def test_json_is_the_whole_comparison() -> None:
    found = json.loads(rendered("json"))
    assert (found["format"], found["ok"], found["first_bad"]) == ("onnx-tagger/comparison", False, "a.x")
    assert found["tensors"][2]["accumulated"] is None
    assert found["modules"]["format"] == "onnx-tagger/module-table"


def test_junit_has_a_case_for_each_module() -> None:
    suite = ET.fromstring(rendered("junit"))
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "skipped": "1",
    }
    failed = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert failed == ["a.x"]
    assert ET.fromstring(rendered("junit", bad=False)).get("failures") == "0"


def test_github_annotates_the_file() -> None:
    lines = rendered("github").splitlines()
    assert lines[0].startswith("::error file=m.onnx,title=onnx-tagger compare::a.x: is off by 5.0e-02")
    assert lines[1].startswith("::error file=m.onnx,title=onnx-tagger compare%3A summary::")
    assert rendered("github", bad=False).startswith("::notice ")


def test_markdown_escapes_names() -> None:
    text = rendered("markdown")
    assert text.startswith("**m.onnx beside Net: 1 module differs, first a.x**\n\n- a.x: is off by")
    assert "'t\\|1'" in text
    assert "| a.x | 5.0e-02 | 5.0e-02 | 1.0e-05 | 1 | differs |\n" in text


@pytest.mark.parametrize("form", COMPARISON_FORMS)
def test_every_form_ends_with_a_line_break(form: str) -> None:
    assert rendered(form).endswith("\n")
