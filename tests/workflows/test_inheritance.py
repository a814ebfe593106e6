"""Hidden tags come back by inheritance: a part of the zoo here, all of it among the slow tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures" / "zoo"))

from index import ZOO
from inherit import CHAINS, Found, graphs, hidden

PART = ("bert", "albert", "resnet", "swin", "t5", "nested_reuse")


def found(names: tuple[str, ...], chain: str, folder: Path) -> Found:
    """What came of 30 % hidden tags."""
    whole = Found()
    for name in names:
        (folder / name).mkdir()
        for graph in graphs(name, folder / name):
            whole.add(hidden(graph, 30, CHAINS[chain], seed=0))
    return whole


def share(counts: Found, verdict: str) -> float:
    return counts.verdicts[verdict] / sum(counts.verdicts.values())


def test_hidden_tags_come_back(tmp_path: Path) -> None:
    counts = found(PART, "all steps", tmp_path)
    assert sum(counts.verdicts.values()) > 500
    assert share(counts, "exact") >= 0.97, counts.details
    # Constants that the exporter shares among blocks weigh more in this part than in the whole zoo.
    assert share(counts, "wrong") <= 0.01, counts.details


def test_each_step_tells_something(tmp_path: Path) -> None:
    exact = {}
    for number, chain in enumerate(CHAINS):
        (tmp_path / str(number)).mkdir()
        exact[chain] = share(found(("bert", "albert"), chain, tmp_path / str(number)), "exact")
    assert exact["the rule alone"] < exact["without the run"] < exact["all steps"]
    assert exact["without repetition"] <= exact["all steps"]


@pytest.mark.slow
def test_hidden_tags_come_back_over_the_zoo(tmp_path: Path) -> None:
    counts = found(tuple(ZOO), "all steps", tmp_path)
    assert share(counts, "exact") >= 0.9
    assert share(counts, "wrong") <= 0.005, counts.details
