"""Rows added up: each file is in one producer's and one architecture's group."""

from __future__ import annotations

import json

from onnx_tagger.model.fleet import Row
from onnx_tagger.model.fleetsummary import Summary

ROWS = [
    Row(
        url="a",
        producer="pytorch 2.1",
        architecture="Bert",
        nodes=10,
        tagged=10,
        by_source={"exported": 10},
        seconds=1.0,
    ),
    Row(url="b", producer="pytorch 2.2", architecture="Vit", nodes=10, tagged=5, by_rule={"OT001": 5}, seconds=2.0),
    Row(url="c", error="no model", by_rule={"OT006": 1}),
    *(Row(url=f"d{at}", nodes=1, tagged=0, by_rule={"OT001": 1}) for at in range(5)),
]


def test_groups_add_up_to_the_whole() -> None:
    found = Summary.of(iter(ROWS))
    assert (found.whole.files, found.whole.short, found.whole.unreadable) == (8, 7, 1)
    assert (found.whole.nodes, found.whole.tagged, found.whole.seconds) == (25, 15, 3.0)
    for groups in (found.producers, found.architectures):
        assert sum(group.files for group in groups.values()) == 8
        assert sum(group.nodes for group in groups.values()) == 25
    assert list(found.producers) == ["", "pytorch"]
    assert found.architectures["Bert"].coverage == 100.0
    assert found.rules == {"OT001": (10, 6, ["b", "d0", "d1"]), "OT006": (1, 1, ["c"])}
    assert found.errors == [("c", "no model")]
    assert not found.ok
    assert json.loads(found.to_json())["by_producer"]["pytorch"]["coverage"] == 75.0


def test_no_files_are_all_ok() -> None:
    assert Summary.of([]).ok
    assert Summary.of([]).whole.coverage == 100.0
