"""Noise injected module by module, against quantising modules alone."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from examples.quantised import net, samples
from onnx_tagger.runtime.calibration import Calibration, inputs_of
from onnx_tagger.runtime.quantising.injecting import injected
from onnx_tagger.runtime.quantising.noise import noise
from onnx_tagger.runtime.quantising.quantisers import Way, quantise

pytest.importorskip("onnxruntime")


def test_injected_noise_is_that_of_a_module_alone(tmp_path: Path) -> None:
    model = net(tmp_path / "m.onnx")
    data = Calibration(samples(), inputs_of(onnx.load(model).graph))
    way, cache = Way(True), tmp_path / "ranges.json"
    quantise(model, tmp_path / "all.onnx", ["u", "d", "y"], way, data, cache)
    found = injected(model, tmp_path / "all.onnx", {"block": ["u", "d"], "head": ["y"]}, data)
    for module, names in {"block": ["u", "d"], "head": ["y"]}.items():
        others = frozenset({"u", "d", "y"} - set(names))
        quantise(model, tmp_path / f"{module}.onnx", names, way, data, cache, others)
        alone = noise(model, [tmp_path / f"{module}.onnx"], data)[0]
        assert found[module].sqnr == pytest.approx(alone.sqnr, abs=2)
    assert found["head"].sqnr < found["block"].sqnr
