"""Ways to run a model by turns: each has a latency, a ratio to the first with an interval, and nodes of its own."""

from pathlib import Path

from onnx_tagger.workflows.profiling.comparing import ways
from onnx_tagger.workflows.profiling.planning import Plan


def test_levels_and_settings_side_by_side(folder: Path) -> None:
    found = ways(folder / "blocks.onnx", None, ["disable", "all"], ["enable_mem_pattern=0"], Plan(2, 4))
    assert [way.name for way in found] == ["disable", "all", "disable enable_mem_pattern=0"]
    first, everything, _ = found
    assert (first.ratio, first.change) == (1.0, None)
    assert (first.nodes, first.differs) == (6, False)
    assert everything.nodes < 6
    assert everything.change is not None
    assert everything.change.before is first.profile
    for way in found[1:]:
        assert way.low is not None
        assert way.high is not None
        assert way.low <= way.ratio <= way.high
    assert len({way.profile.yardsticks for way in found}) == 1


def test_one_session_says_nothing_of_how_sure_it_is(folder: Path) -> None:
    found = ways(folder / "blocks.onnx", None, ["disable", "all"], [], Plan(1, 2))
    assert (found[1].low, found[1].high, found[1].change) == (None, None, None)
