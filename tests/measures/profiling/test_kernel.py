"""What a profile is made of."""

from __future__ import annotations

import pytest

from onnx_tagger.measures.profiling.kernel import Kernel, Overhead, Roof


def test_the_time_of_a_kernel_is_the_mean_of_its_sessions() -> None:
    kernel = Kernel("a", "MatMul", "CPUExecutionProvider", (1.0, 2.0, 6.0))
    assert kernel.mean == 3.0
    assert (kernel.joined, kernel.count, kernel.tag, kernel.flops) == ("name", 1.0, None, None)


@pytest.mark.parametrize(
    ("flops", "moved", "reach"),
    # 100 GFLOP/s and 10 GB/s meet at ten operations a byte.
    [(1000.0, 10.0, 100.0), (100.0, 10.0, 100.0), (50.0, 10.0, 50.0), (0.0, 10.0, 0.0), (5.0, 0.0, 100.0)],
)
def test_the_roof_is_the_lower_of_computing_and_copying(flops: float, moved: float, reach: float) -> None:
    assert Roof(100.0, 10.0).reach(flops, moved) == reach


def test_they_are_short_to_look_at() -> None:
    for value in (Kernel("a", "Relu", "", (1.0,)), Overhead(4.5, 2.0), Roof(1.0, 2.0)):
        assert len(repr(value)) < 160
        assert type(value).__name__ in repr(value)
