"""How many nodes a module has."""

from __future__ import annotations

import numpy as np

from onnx_tagger.measures.measure import Column, Measure, Measured


def measure(measured: Measured) -> list[Measure]:
    """One for each node."""
    return [Measure(Column("nodes"), np.ones(len(measured.ops)))]
