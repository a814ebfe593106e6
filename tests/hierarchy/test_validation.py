"""Sentences about a wrong value: short, in plain letters, and one for many."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from examples.maps import document, refused_json
from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.file import parse_map


def test_a_sentence_tells_the_beginning_of_a_wrong_value() -> None:
    made = document()
    made["graph"]["nodes"]["source"][1] = "\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 1_000_000
    text = refused_json(made)
    assert "graph.nodes.source.1: " in text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text


@pytest.mark.parametrize(
    ("column", "item"),
    [("strings", "1"), ("inputs", '[1.5]'), ("inputs", '"x"'), ("source", '"guessed"')],
)  # fmt: skip
def test_one_error_is_made_of_many(column: str, item: str) -> None:
    """A million wrong items make as much of an error as one: none is made for each."""
    made = document()
    (made["graph"] if column == "strings" else made["graph"]["nodes"])[column] = "@"
    text = json.dumps(made).replace('"@"', "[" + f"{item}," * 300_000 + f"{item}]")
    tracemalloc.start()
    try:
        with pytest.raises(MapError, match=f"{column}.0"):
            parse_map(text.encode(), "here")
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)
    finally:
        tracemalloc.stop()
