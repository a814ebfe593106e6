"""What the benchmarks rest on: turns and ratios, and graphs that are tagged as real ones are."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from measure import Series, in_process, interleaved
from scale import changed, exponent
from subjects import graph, map_of


def test_ways_take_turns_and_each_begins_a_round() -> None:
    called: list[str] = []
    ways = {name: lambda name=name: called.append(name) for name in "abc"}
    found = interleaved(ways, rounds=3, before=lambda: called.append("-"), warm_up=1)
    assert "".join(called).replace("-", "") == "cab" + "abc" + "bca" + "cab"
    assert called[::2] == ["-"] * 12
    assert {name: len(series.values) for name, series in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_way_may_time_itself() -> None:
    assert interleaved({"a": lambda: 2.5}, rounds=2)["a"] == Series((2.5, 2.5))


def test_ratios_are_taken_in_each_round() -> None:
    one, other = Series((1.0, 4.0, 9.0, 8.0)), Series((1.0, 2.0, 3.0, 4.0))
    assert one.over(other) == Series((1.0, 2.0, 3.0, 2.0))
    assert one.minus(other) == Series((0.0, 2.0, 6.0, 4.0))
    assert one.over(other).shown() == "2.00 (1.75–2.25)"


def test_growth_is_the_slope_of_the_logarithms() -> None:
    square = {n: {"seconds": Series((float(n * n),))} for n in (10_000, 100_000, 1_000_000)}
    assert exponent(square | {10: {"seconds": Series((1e9,))}}) == pytest.approx(2)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is Linux's")
def test_memory_is_of_the_process_alone() -> None:
    small, large = (in_process(f"held = b'x' * {size}; told['size'] = len(held)") for size in (1, 10**8))
    assert (small["size"], large["size"]) == (1, 10**8)
    assert large["mb"] - small["mb"] == pytest.approx(100, abs=5)


def test_made_graphs_are_tagged_like_exported_ones(tmp_path: Path) -> None:
    model = graph(100)
    onnx.checker.check_model(model, full_check=True)
    onnx.checker.check_model(changed(graph(100)), full_check=True)
    onnx.save(model, tmp_path / "plain.onnx")
    onnx.save(changed(graph(100)), tmp_path / "changed.onnx")
    tree = map_of(model)
    plain = ot.retag(tmp_path / "plain.onnx", tree, tmp_path / "tagged.onnx", verify_passes=True)
    assert plain.by_source == {"exported": 0, "matched": 100, "aligned": 0, "named": 0, "inherited": 0, "root": 0}
    other = ot.retag(tmp_path / "changed.onnx", tree, tmp_path / "tagged.onnx")
    assert (other.nodes, other.tagged) == (50, 50)
    assert other.by_source["aligned"] == 40
    assert {"/Net/Block.3/Linear.up", "/Net/Block.3/Linear.down"} <= set(other.tags)
