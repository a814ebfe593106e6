"""Two files raced: the interval holds the median, and one that does a hundred times the work is slower."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.racing import race


def chain(folder: Path, length: int) -> Path:
    names = [f"t{k}" for k in range(length + 1)]
    nodes = [helper.make_node("Softmax", [a], [b], b) for a, b in pairwise(names)]
    values = [helper.make_tensor_value_info(name, 1, [64, 64]) for name in (names[0], names[-1])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    path = folder / f"{length}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def test_much_less_work_is_faster_and_not_the_other_way_round(tmp_path: Path) -> None:
    feeds = {"t0": np.ones((64, 64), np.float32)}
    found = race(chain(tmp_path, 100), chain(tmp_path, 1), (feeds, feeds), runs=12)
    assert found.low <= found.ratio <= found.high
    assert found.faster
    assert not race(chain(tmp_path, 1), chain(tmp_path, 100), (feeds, feeds), runs=12).faster


def test_a_file_that_does_not_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="does not run"):
        race(chain(tmp_path, 1), chain(tmp_path, 2), ({"t0": np.ones(3)}, {"t0": np.ones(3)}), runs=4)
