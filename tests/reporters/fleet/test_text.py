"""A fleet's summary in every form: the same numbers, and names that cannot do anything."""

from __future__ import annotations

import json

import pytest

from onnx_tagger.model.fleet import Row
from onnx_tagger.model.fleetsummary import Summary
from onnx_tagger.reporters import FLEET_FORMS, render_fleet
from onnx_tagger.reporters.fleet.text import MOST, headline, tables

HOSTILE = "<script>alert(1)</script>|`x`\x1b[31m\u202e"


@pytest.fixture(name="summary")
def _summary() -> Summary:
    rows = [Row(url=HOSTILE, producer=HOSTILE, architecture=HOSTILE, error=HOSTILE, by_rule={"OT006": 1})]
    rows += [Row(url=f"{at}.onnx", producer=f"p{at:02}", nodes=4, tagged=3, by_rule={"OT001": 1}) for at in range(30)]
    return Summary.of(rows)


def test_the_headline_counts_files(summary: Summary) -> None:
    assert headline(summary) == "31 files: 31 fall short (1 cannot be read), 75.0 % of 120 nodes tagged"
    assert headline(Summary.of([Row(url="a", nodes=1, tagged=1)])) == "1 file: all ok, 100 % of 1 nodes tagged"


def test_tables_that_say_nothing_are_left_out() -> None:
    assert [title for title, _, _ in tables(Summary.of([Row(url="a", nodes=1, tagged=1)]))] == [
        "by producer",
        "by architecture",
    ]


def test_many_groups_are_added_up(summary: Summary) -> None:
    rows = next(rows for title, _, rows in tables(summary) if title == "by producer")
    assert len(rows) == MOST + 1
    assert rows[-1][:2] == ["16 more", "16"]


@pytest.mark.parametrize("form", FLEET_FORMS)
def test_names_are_inert_in_every_form(summary: Summary, form: str) -> None:
    text = render_fleet(summary, form)
    assert "\x1b" not in text
    assert "31" in text
    if form == "json":
        assert json.loads(text)["files"] == 31
    if form in ("html", "markdown"):
        assert "<script>" not in text
    if form == "html":
        assert "default-src 'none'" in text
