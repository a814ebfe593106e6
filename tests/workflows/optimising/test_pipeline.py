"""What the pipeline keeps, holds and drops, by intervals."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.optimised import NEUTRAL, write_model
from onnx_tagger.measures.optimising.optimised import Interval
from onnx_tagger.workflows.optimising import pipeline as module
from onnx_tagger.workflows.optimising.pipeline import changes, judged, size_of
from onnx_tagger.workflows.optimising.stages import Stage, Trial
from onnx_tagger.workflows.optimising.timing import Clock, Timed
from onnx_tagger.workflows.reading import read


@pytest.mark.parametrize(
    ("gain", "outcome"),
    [
        (Interval(1.5), "held"),
        (Interval(1.5, 1.01, 2.0), "kept"),
        (Interval(1.5, 0.99, 2.0), "held"),
        (Interval(0.5, 0.4, 0.99), "dropped"),
        (Interval(0.5), "held"),
    ],
    ids=str,
)
def test_by_interval(gain: Interval, outcome: str) -> None:
    assert judged(gain)[0] == outcome


def test_a_stage_without_a_gain_stays_if_a_later_one_gains_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second stage gains only where the first one has been."""
    source = write_model(tmp_path / "m.onnx")

    def nodes(path: Path) -> int:
        return len(read(path).context.ops)

    def measure(self: Clock, ways: list[tuple[Path, object]], *, sessions: int | None = None) -> list[Timed]:
        speeds = [2.0 if nodes(path) == nodes(source) + 2 else 1.0 for path, _ in ways]
        tight = [
            [Interval(b / a, 0.99 * b / a, 1.01 * b / a) for a in speeds[:place]] for place, b in enumerate(speeds)
        ]
        return [Timed(Interval(100 / speed), each, 0.1) for speed, each in zip(speeds, tight, strict=True)]

    monkeypatch.setattr(Clock, "measure", measure)
    again = Stage("again", [Trial("identity", NEUTRAL.trials[0].tool)])
    found = ot.optimize(source, tmp_path / "o.onnx", stages=[NEUTRAL, again])
    assert {each.id: each.outcome for each in found.tries} == {
        "original": "kept",
        "neutral/identity": "kept",
        "again/identity": "dropped",
        "again/identity@neutral/identity": "kept",
    }
    assert found.chosen == "again/identity@neutral/identity"
    assert "builds on it" in found.tries[1].reason
    assert found.ok
    assert module.Pipeline.__repr__ is not object.__repr__


def test_sizes_and_changes(tmp_path: Path) -> None:
    import onnx

    source = write_model(tmp_path / "m.onnx")
    plain = size_of(source)
    assert plain == source.stat().st_size
    onnx.save(onnx.load(source), source, save_as_external_data=True, location="m.data", size_threshold=0)
    assert size_of(source) == source.stat().st_size + (tmp_path / "m.data").stat().st_size
    assert changes(read(source), read(source)) == []
