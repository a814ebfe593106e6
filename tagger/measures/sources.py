"""How the tags of a module were found: a count for each source."""

from __future__ import annotations

import numpy as np

from onnx_tagger.measures.measure import Column, Measure, Measured
from onnx_tagger.model.metadata import Source


def measure(measured: Measured) -> list[Measure]:
    """A column for each source."""
    sources = np.array([-1 if tag is None else tag.source for tag in measured.tags], dtype=np.int8)
    return [Measure(Column(source.label), (sources == source).astype(np.float64)) for source in Source]
