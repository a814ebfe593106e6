"""Optimising a small file from end to end: stages that work, break, fail or do nothing, targets, metrics, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

import onnx_tagger as ot
from examples.optimised import BROKEN, FAILING, NEUTRAL, write_model
from onnx_tagger.workflows.optimising.stages import Stage, Trial

FAST: dict[str, Any] = {"sessions": 2, "runs": 2}


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m.onnx")


def test_fusions_are_tried_proved_and_measured(model: Path, tmp_path: Path) -> None:
    found = ot.optimize(model, tmp_path / "o.onnx", stages=["fusions"], **FAST)
    original, standard, *_ = found.tries
    assert found.ok
    assert (original.id, original.nodes, original.tagged) == ("original", 14, 14)
    assert (standard.id, standard.nodes, standard.tagged) == ("fusions/standard operators", 4, 4)
    assert standard.operators == {"Gemm": 2, "Gelu": 2}
    assert standard.speedup is not None
    assert {change.module for change in standard.changed} >= {"blocks.0.act", "blocks.1.act"}
    assert ot.check(tmp_path / "o.onnx").ok
    assert set(found.finals) >= {"original", found.chosen}


def test_a_stage_that_breaks_the_model_is_named_with_the_module(model: Path, tmp_path: Path) -> None:
    found = ot.optimize(model, tmp_path / "o.onnx", stages=["fusions", BROKEN, NEUTRAL], **FAST)
    broken = [each for each in found.tries if each.stage == "broken"]
    assert broken
    for each in broken:
        assert (each.outcome, each.differs) == ("dropped", "blocks.1.fc")
        assert each.reason.startswith("blocks.1.fc")
        assert each.id not in found.finals
    assert all(each.base != one.id for each in found.tries for one in broken)


def test_a_tool_that_raises(model: Path, tmp_path: Path) -> None:
    found = ot.optimize(model, tmp_path / "o.onnx", stages=[FAILING], **FAST)
    (failed,) = found.tries[1:]
    assert (failed.outcome, failed.reason) == ("failed", "the tool failed: RuntimeError: out of luck")
    assert found.chosen == "original"


def test_a_run_that_was_killed_goes_on_and_does_nothing_twice(model: Path, tmp_path: Path) -> None:
    calls: list[str] = []

    def tool(name: str, dies: list[bool]) -> Any:
        def run(source: Path, target: Path) -> None:
            calls.append(name)
            if dies and dies.pop():
                raise KeyboardInterrupt
            NEUTRAL.trials[0].tool(source, target)  # type: ignore[misc]

        return run

    for at in range(3):
        calls.clear()
        dies: list[list[bool]] = [[place == at] for place in range(3)]
        stages = [Stage(f"s{place}", [Trial("t", tool(f"s{place}", dies[place]))]) for place in range(3)]
        options = {"stages": stages, "workdir": tmp_path / f"work{at}", **FAST}
        with pytest.raises(KeyboardInterrupt):
            ot.optimize(model, tmp_path / "o.onnx", **options)
        before = list(calls)
        found = ot.optimize(model, tmp_path / "o.onnx", **options)
        # Only what was under way when it was killed is done again.
        assert calls[len(before)] == before[-1]
        finished = [each for each in found.tries if each.stage]
        assert len(calls) == len(finished) + 1
        again = ot.optimize(model, tmp_path / "p.onnx", **options)
        assert len(calls) == len(finished) + 1
        assert again.tries == found.tries
        assert again.finals == found.finals
        assert (tmp_path / "p.onnx").read_bytes() == (tmp_path / "o.onnx").read_bytes()


def test_a_work_folder_of_another_run(model: Path, tmp_path: Path) -> None:
    ot.optimize(model, tmp_path / "o.onnx", stages=[FAILING], workdir=tmp_path / "w", **FAST)
    with pytest.raises(ot.TaggerError, match="is of another model, other options or another version"):
        ot.optimize(model, tmp_path / "o.onnx", stages=[NEUTRAL], workdir=tmp_path / "w", **FAST)
    (tmp_path / "w" / "optimise.json").write_text("{")
    with pytest.raises(ot.TaggerError, match="cannot be read"):
        ot.optimize(model, tmp_path / "o.onnx", stages=[FAILING], workdir=tmp_path / "w", **FAST)


def test_targets_that_can_and_cannot_be_met(model: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"stages": ["fusions"], "workdir": tmp_path / "w", **FAST}
    missed = ot.optimize(model, tmp_path / "o.onnx", speedup=1000, **options)
    assert not missed.ok
    assert "the target of x 1000 is missed: the nearest is " in missed.verdict
    assert ot.optimize(model, tmp_path / "o.onnx", speedup=0.001, **options).ok


def test_a_metric_that_falls(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "judge.py"
    source.write_text("def one(run, samples):\n    return 1 + len(list(samples))\n")
    nodes = lambda path: float(len(onnx.load(path).graph.node))  # noqa: E731
    options: dict[str, Any] = {"stages": ["fusions"], "metric": nodes, **FAST}
    found = ot.optimize(model, tmp_path / "o.onnx", max_drop=3, **options)
    assert [each.drop for each in found.tries][:2] == [0.0, 10.0]
    assert found.chosen == "original", "all else has lost more than 3 nodes"
    named = ot.optimize(model, tmp_path / "n.onnx", max_drop=0, **{**options, "metric": f"{source}:one"})
    assert {each.drop for each in named.tries} == {0.0}
    for wrong in ("none.py:f", f"{source}:other", "judge"):
        with pytest.raises(ot.TaggerError, match=r"check the path|for the metric|names no metric|write FILE"):
            ot.optimize(model, tmp_path / "o.onnx", metric=wrong)


def test_modules_that_must_stay_as_they_are(model: Path, tmp_path: Path) -> None:
    found = ot.optimize(model, tmp_path / "o.onnx", stages=["fusions"], keep=["blocks.1"], **FAST)
    assert {each.outcome for each in found.tries[1:]} == {"dropped"}
    assert "which --keep protects" in found.tries[1].reason


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_drop": 0.1}, "no metric is given"),
        ({"speedup": -1}, "the speed-up asked for is -1"),
        ({"speedup": 1, "max_drop": -1.0, "metric": len}, "the largest drop is -1"),
        ({"stages": ["graf"]}, "no stage is 'graf'"),
        ({"stages": ["graph", "graph"]}, "is asked for twice"),
        ({"stages": []}, "no stage is named"),
        ({"stages": "graph"}, "give a list of them"),
        ({"sessions": 0}, "0 sessions measure nothing"),
    ],
    ids=str,
)
def test_what_is_refused(model: Path, tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ot.TaggerError, match=sentence):
        ot.optimize(model, tmp_path / "o.onnx", **options)
    assert not (tmp_path / "o.onnx").exists()


def test_a_place_that_cannot_be_written_is_refused_before_any_work(model: Path, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "no" / "o.onnx"):
        with pytest.raises(ot.TaggerError):
            ot.optimize(model, place, workdir=tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_the_input_is_never_the_output(model: Path) -> None:
    with pytest.raises(ot.TaggerError, match="is the input file"):
        ot.optimize(model, model)
