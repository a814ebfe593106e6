"""What tagging costs: the ratio to the bare export, by rounds."""

from __future__ import annotations

from onnx_tagger.workflows.benchmarking import Timing


def test_ratios_are_of_each_round_and_medians_of_all() -> None:
    phases = {"export": [2.0, 4.0, 3.0], "digests": [1.0, 2.0, 3.0], "save": [1.0, 2.0, 3.0]}
    timing = Timing("fx", 7, phases, [2.0, 4.0, 6.0])
    assert timing.medians == {"export": 3.0, "digests": 2.0, "save": 2.0}
    assert timing.ratios() == [2.0, 2.0, 1.5]
    assert timing.ratios(digests=False) == [1.5, 1.5, 1.0]
