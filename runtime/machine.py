"""How fast this machine is: a product of matrices, a copy, and what profiling itself costs a kernel.

All are measured in onnxruntime or numpy, in a few milliseconds each; nothing is taken from a table of processors.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.measures.profiling.kernel import Overhead, Roof
from onnx_tagger.runtime.events import percentile_of_ticks, read_events
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.settings import Setup

# Sides of the matrices: large enough for full speed, and small enough to be multiplied in a millisecond or two.
_SIDE, _YARD = 512, 256
_COPIED = 64 << 20
_KERNELS = 200
_OPSET, _IR = 17, 8


def timed(session: Any, feeds: Mapping[str, Array], runs: int) -> list[float]:
    """Microseconds of each of some runs."""
    found = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        session.run(None, feeds)
        found.append((time.perf_counter_ns() - start) / 1e3)
    return found


class Yardstick:
    """One and the same product of two matrices, timed whenever one wants to know how fast the machine is just now."""

    def __init__(self, folder: Path, side: int = _YARD) -> None:
        self.feeds = {"x": np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)}
        self.flops = 2.0 * side**3
        path = folder / f"yardstick-{side}.onnx"
        onnx.save(_product(side), path)
        self.session = Setup().session(path)
        timed(self.session, self.feeds, 3)

    def measure(self, runs: int = 20) -> float:
        """Microseconds of the product, the 10th percentile of some runs."""
        return float(np.percentile(timed(self.session, self.feeds, runs), 10))


def roof(folder: Path, threads: int = 1) -> Roof:
    """What the machine can do: GFLOP/s of a matrix product in onnxruntime, and GB/s of a copy.

    The copy is numpy's, of 64 MB, in one thread; bytes read and written both count.
    """
    path = folder / "roof.onnx"
    onnx.save(_product(_SIDE), path)
    session = Setup(threads=threads).session(path)
    feeds = {"x": np.random.default_rng(0).standard_normal((_SIDE, _SIDE)).astype(np.float32)}
    best = min(timed(session, feeds, 60))
    source = np.zeros(_COPIED, np.uint8)
    target = np.empty_like(source)
    copies = []
    for _ in range(12):
        start = time.perf_counter_ns()
        np.copyto(target, source)
        copies.append((time.perf_counter_ns() - start) / 1e3)
    return Roof(2.0 * _SIDE**3 / best / 1e3, 2.0 * _COPIED / min(copies) / 1e3)


class Probe:
    """A chain of kernels that do next to nothing: what it takes under the profiler is what profiling costs.

    It is measured again beside each session, and the least counts: a busy machine only ever adds.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder, self.path = folder, folder / "chain.onnx"
        onnx.save(_chain(_KERNELS), self.path)
        self.setup = Setup("disable", "CPUExecutionProvider", threads)
        self.feeds = {"t0": np.ones((1, 1), np.float32)}
        self.bare = self.whole = self.inside = np.inf

    def measure(self) -> None:
        """Run the chain with the profiler and without."""
        bare = timed(self.setup.session(self.path), self.feeds, 40)
        options = self.setup.options()
        options.enable_profiling = True
        options.profile_file_prefix = str(self.folder / "chain")
        session = self.setup.session(self.path, options)
        whole = timed(session, self.feeds, 40)
        path = Path(session.end_profiling())
        inside = percentile_of_ticks(read_events(path).us[:, 5:], 10)
        path.unlink()
        self.bare = min(self.bare, float(np.percentile(bare[5:], 10)) / _KERNELS)
        self.whole = min(self.whole, float(np.percentile(whole[5:], 10)) / _KERNELS)
        self.inside = min(self.inside, float(inside.mean()))

    @property
    def cost(self) -> Overhead:
        """What profiling costs a kernel; the part inside its own time is what its event says beyond what it takes."""
        return Overhead(max(0.0, self.whole - self.bare), max(0.0, self.inside - self.bare))


def _product(side: int) -> onnx.ModelProto:
    weight = np.random.default_rng(1).standard_normal((side, side)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [side, side]) for name in "xy"]
    graph = helper.make_graph([node], "product", values[:1], values[1:], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)


def _chain(length: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Neg", [f"t{at}"], [f"t{at + 1}"], f"neg_{at}") for at in range(length)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in ("t0", f"t{length}")]
    graph = helper.make_graph(nodes, "chain", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
