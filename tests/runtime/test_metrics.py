"""A user's metric."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.metrics import Metric

SAMPLES = [{"x": np.array([0.0, 1.0]), "label": np.array(1)}, {"x": np.array([2.0, 1.0]), "label": np.array(1)}]


def doubled(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
    assert list(feeds) == ["x"]
    return {"y": feeds["x"] * 2}


def test_accuracy_from_labels_that_are_no_inputs(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def fn(run, samples):\n    hits = [run(s)['y'].argmax() == s['label'] for s in samples]\n"
                    "    return sum(hits) / len(hits)\n")  # fmt: skip
    assert Metric(f"{path}:fn")(doubled, ["x"], SAMPLES) == 0.5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returned None"),
        ("return float('nan')", "returned nan"),
        ("return 'good'", "returned 'good'"),
        ("return run(next(iter(samples)))['z']", "the metric failed: KeyError"),
    ],
)
def test_no_number_is_a_sentence(tmp_path: Path, body: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def fn(run, samples):\n    {body}\n")
    with pytest.raises(TaggerError, match=said):
        Metric(f"{path}:fn")(doubled, ["x"], SAMPLES)
