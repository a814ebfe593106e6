"""Noise of outputs against a reference's, added up over samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from examples.quantised import net, samples
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.calibration import Calibration, inputs_of
from onnx_tagger.runtime.quantising.noise import Noise, noise, running

pytest.importorskip("onnxruntime")


def test_a_weight_that_is_scaled_gives_the_noise_that_it_should(tmp_path: Path) -> None:
    model = onnx.load(net(tmp_path / "m.onnx"))
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) * np.float32(1.1), "head"))
    onnx.save(model, tmp_path / "louder.onnx")
    data = Calibration(samples(), inputs_of(model.graph))
    same, louder = noise(tmp_path / "m.onnx", [tmp_path / "m.onnx", tmp_path / "louder.onnx"], data)
    assert same.share == 0
    assert same.sqnr == 130
    assert louder.share == pytest.approx(0.01, rel=1e-3)
    assert louder.sqnr == pytest.approx(20, abs=0.01)


def test_outputs_without_numbers_are_left_out() -> None:
    found = Noise({}, {})
    found.add({"y": np.float32([3, 4]), "n": np.int64([1])}, {"y": np.float32([3, 3]), "n": np.int64([2])})
    assert (found.error, found.signal) == ({"y": 1.0}, {"y": 25.0})


def test_what_does_not_load_or_run(tmp_path: Path) -> None:
    run = running(net(tmp_path / "m.onnx"))
    with pytest.raises(TaggerError, match="does not run it"):
        run({"x": np.zeros((2, 3), np.float32)})
    (tmp_path / "bad.onnx").write_bytes(b"no")
    with pytest.raises(TaggerError, match="does not load it"):
        running(tmp_path / "bad.onnx")
