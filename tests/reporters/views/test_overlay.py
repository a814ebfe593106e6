"""A measure as Model Explorer's node data: what its JSON holds; its server is asked in `test_modelexplorer`."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from onnx_tagger.measures.measure import Column, Direction, Measure
from onnx_tagger.reporters.views.overlay import render


def overlay_of(measure: Measure, names: list[str]) -> dict[str, object]:
    out = StringIO()
    render(measure, names, out)
    assert out.getvalue().endswith("}\n")
    found: dict[str, object] = json.loads(out.getvalue())
    return found


def test_a_value_for_each_node_that_has_a_name_and_a_number() -> None:
    measure = Measure(Column("time", "µs", worse="higher"), [2.5, None, 1.0, 4.0])
    found = overlay_of(measure, ["a", "b", "", "c"])
    assert found["name"] == "time (µs)"
    assert found["results"] == {"a": {"value": 2.5}, "c": {"value": 4.0}}


def test_of_two_nodes_with_one_name_the_first_counts() -> None:
    assert overlay_of(Measure(Column("n"), [1, 2]), ["a", "a"])["results"] == {"a": {"value": 1.0}}


@pytest.mark.parametrize("worse", ["higher", "lower", None])
def test_the_worse_end_is_the_darker_one(worse: Direction | None) -> None:
    gradient = overlay_of(Measure(Column("n", worse=worse), [1]), ["a"])["gradient"]
    assert isinstance(gradient, list)
    ends = [stop["bgColor"] for stop in gradient]
    assert [stop["stop"] for stop in gradient] == [0, 1]
    assert ends[0 if worse == "lower" else 1] != "#ffffff"
    assert ends[1 if worse == "lower" else 0] == "#ffffff"


def test_hostile_names_are_read_back(hostile: str) -> None:
    found = overlay_of(Measure(Column(hostile or "n"), [1]), [hostile])
    assert found["results"] == ({hostile: {"value": 1.0}} if hostile else {})
