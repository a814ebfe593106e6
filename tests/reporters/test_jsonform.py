"""A report as JSON, safe to print on a terminal."""

import json

import pytest

from examples.verdicts import SHORT, rendered, report_of
from onnx_tagger.model.report import Limits
from onnx_tagger.reporters.jsonform import json_text


def test_json_is_the_report() -> None:
    assert json.loads(rendered("json", "m.onnx", SHORT, Limits())) == SHORT.as_dict()


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "\x9b31m", "\u202e", "\ud800", "a\nb"])
def test_json_steers_no_terminal(text: str) -> None:
    report = report_of(problems=(text,))
    shown = json_text(report)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert json.loads(shown)["failures"] == [text]
