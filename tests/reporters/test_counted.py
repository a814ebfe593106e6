"""Counts of many files in every form."""

import csv
import json
from io import StringIO

import pytest

from onnx_tagger.model.counted import FileCount, FileCounts
from onnx_tagger.model.report import Report
from onnx_tagger.reporters.counted import FORMS, HEADS, render

COUNTS = FileCounts((FileCount("a.onnx", Report(nodes=4, tagged=3)), FileCount("b|.onnx", None, "b|.onnx is empty")))


def text(form: str) -> str:
    out = StringIO()
    render(COUNTS, form, out)
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_every_file_is_in_every_form(form: str) -> None:
    assert "a.onnx" in text(form)
    assert "is empty" in text(form)


def test_columns() -> None:
    rows = list(csv.reader(StringIO(text("csv"))))
    assert rows[0] == list(HEADS)
    assert rows[1][:3] == ["a.onnx", "4", "3"]
    assert rows[2] == ["b|.onnx", *[""] * 8, "b|.onnx is empty"]
    assert [line.split("\t") for line in text("tsv").splitlines()] == rows
    assert json.loads(text("json"))["files"][0]["nodes"] == 4
    assert text("markdown").splitlines()[-1].startswith("| b\\|.onnx | | | ")
