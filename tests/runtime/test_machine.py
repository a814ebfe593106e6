"""What is measured of the machine: that each figure is of what it says, whatever this machine is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from onnx_tagger.runtime.machine import Probe, Yardstick, roof, timed


def test_the_yardstick_multiplies_what_it_counts(tmp_path: Path) -> None:
    yard = Yardstick(tmp_path, side=16)
    (found,) = yard.session.run(None, yard.feeds)
    weight = np.random.default_rng(1).standard_normal((16, 16)).astype(np.float32)
    np.testing.assert_allclose(found, yard.feeds["x"] @ weight, rtol=1e-5, atol=1e-5)
    assert yard.flops == 2 * 16**3
    assert yard.measure(3) > 0


def test_each_run_has_a_time(tmp_path: Path) -> None:
    yard = Yardstick(tmp_path, side=8)
    assert len(timed(yard.session, yard.feeds, 5)) == 5
    assert min(timed(yard.session, yard.feeds, 5)) > 0


def test_the_roof_is_that_of_a_machine(tmp_path: Path) -> None:
    found = roof(tmp_path)
    assert 0.1 < found.gflops < 1e6
    assert 0.1 < found.gbytes < 1e5


def test_profiling_costs_what_the_chain_takes_longer_and_leaves_no_file(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    probe.measure()
    assert probe.cost.per_kernel == max(0.0, probe.whole - probe.bare)
    assert 0 <= probe.cost.taken_out < np.inf
    before = probe.bare
    probe.measure()
    assert probe.bare <= before
    assert [path.name for path in tmp_path.iterdir()] == ["chain.onnx"]
