"""A small tagged file beside another one, ready to be run and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from examples.faulty import file_of, tagged
from onnx_tagger.measures.comparison.metrics import Metric
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.workflows.comparison.feeding import recorded_file
from onnx_tagger.workflows.comparison.running import Trial
from onnx_tagger.workflows.reading import read

X = np.random.default_rng(7).standard_normal((2, 4)).astype(np.float32)
WEIGHTS = {
    name: np.random.default_rng(place).standard_normal((4, 4)).astype(np.float32) for place, name in enumerate("uvw")
}


def chain(factors: dict[str, float] | None = None) -> onnx.ModelProto:
    """Three products with a Tanh between, in the modules `a`, `act`, `b` and `head`; weights may be off by factors."""
    off = factors or {}
    stored = {name: (value * off.get(name, 1.0)).astype(np.float32) for name, value in WEIGHTS.items()}
    return file_of(
        tagged(helper.make_node("MatMul", ["x", "u"], ["xa"], "na"), "a"),
        tagged(helper.make_node("Tanh", ["xa"], ["xt"], "nt"), "act"),
        tagged(helper.make_node("MatMul", ["xt", "v"], ["xb"], "nb"), "b"),
        tagged(helper.make_node("MatMul", ["xb", "w"], ["out"], "nh"), "head"),
        **stored,
    )


def trial_of(
    folder: Path,
    reference: onnx.ModelProto,
    model: onnx.ModelProto,
    metric: Metric = "sqnr",
    tolerance: float = 1e-5,
    feeds: dict[str, np.ndarray] | None = None,
) -> Trial:
    """A file beside another one on the same inputs; nothing has run but the reference."""
    given = feeds or {"x": X}
    paths = [folder / "reference.onnx", folder / "model.onnx"]
    for path, each in zip(paths, (reference, model), strict=True):
        onnx.save(each, path)
    recording = recorded_file(Probe(paths[0]), read(paths[0]).context, given)
    return Trial(Probe(paths[1]), read(paths[1]).context, recording, given, metric, tolerance)
