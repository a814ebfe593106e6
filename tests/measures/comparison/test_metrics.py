"""Each name of a metric is one that tensors can be compared by."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.comparison.distances import check_metric, distance
from onnx_tagger.measures.comparison.metrics import METRICS, Metric


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_computed(metric: Metric) -> None:
    wanted = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    assert check_metric(metric) == metric
    assert distance(wanted, wanted, metric) == 0.0
    assert distance(wanted, wanted[::-1], metric) > 0.0


def test_no_other() -> None:
    with pytest.raises(TaggerError, match="no metric is named 'mse': choose from sqnr, max, cosine, ulp"):
        check_metric("mse")


def test_the_names_are_known_without_numpy() -> None:
    code = "import sys, onnx_tagger.measures.comparison.metrics; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
