"""Reading profiles: runs told apart by time, kernels that run several times, and what is no profile."""

import json
from pathlib import Path

import numpy as np
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.events import percentile_of_ticks, read_events


def kernel(name: str, start: int, took: int, **args: object) -> dict[str, object]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": took, "ph": "X", "args": args}


def run(start: int, took: int) -> dict[str, object]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": took, "args": {}}


def written(folder: Path, *events: dict[str, object]) -> Path:
    path = folder / "profile.json"
    path.write_text(json.dumps(list(events)))
    return path


def test_kernels_belong_to_the_run_in_which_they_began(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 90, "args": {}},
        kernel("b", 112, 7),
        kernel("a", 101, 10),
        run(100, 30),
        kernel("a", 201, 11),
        kernel("b", 215, 5),
        kernel("b", 221, 4),
        run(200, 40),
        # The run that this one is of was dropped, since the profiler was full.
        kernel("a", 301, 99),
    )
    found = read_events(path)
    assert found.names == ["a", "b"]
    assert found.us.tolist() == [[10, 11], [7, 9]]
    assert found.counts.tolist() == [[1, 1], [1, 2]]
    assert found.run_us.tolist() == [30, 40]
    assert found.facts == {}
    assert found.peak is None


def test_facts_are_those_of_the_last_execution(tmp_path: Path) -> None:
    shapes = {"input_type_shape": [{"float": [2, 3]}], "output_type_shape": [{"int64": []}]}
    path = written(
        tmp_path,
        kernel("a", 1, 1, op_name="Relu", provider="CPU", **shapes),
        run(0, 5),
        kernel("a", 11, 1, op_name="Relu", provider="CPU", mem_in_use_peak="4096", **shapes),
        run(10, 5),
    )
    found = read_events(path, facts=True)
    assert found.facts["a"].op == "Relu"
    assert found.facts["a"].inputs == (("float", (2, 3)),)
    assert found.facts["a"].outputs == (("int64", ()),)
    assert found.peak == 4096


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "is no profile"), ("[]", "no complete run"), ("[1]", "is no profile")]
)
def test_what_is_no_profile(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "profile.json"
    with pytest.raises(TaggerError, match="cannot be read"):
        read_events(path)
    path.write_text(text)
    with pytest.raises(TaggerError, match=sentence):
        read_events(path)


def test_a_percentile_of_ticks_knows_parts_of_a_tick() -> None:
    random = np.random.default_rng(0)
    true = random.uniform(2.0, 3.0, 50)[:, None] + random.normal(0, 0.7, (50, 2000))
    exact = np.percentile(true, 10, axis=1)
    found = percentile_of_ticks(np.floor(true), 10)
    assert np.abs(found - exact).max() < 0.3
    assert np.abs(np.percentile(np.floor(true), 10, axis=1) - exact).max() > 3 * np.abs(found - exact).max()


def test_a_percentile_of_equal_ticks() -> None:
    assert percentile_of_ticks(np.full((1, 4), 3.0), 50).tolist() == [3.5]
    assert percentile_of_ticks(np.array([[7.0]]), 10).tolist() == [7.5]
