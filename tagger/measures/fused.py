"""How many nodes of other modules do work of a module, too: what tools have fused it with."""

from __future__ import annotations

import numpy as np

from onnx_tagger.measures.measure import Column, Measure, Measured
from onnx_tagger.model.metadata import Tag


def measure(measured: Measured) -> list[Measure]:
    """One for each node, at each of its origins but the module that it is tagged with."""
    return [Measure(Column("fused"), np.ones(len(measured.ops)), _other_origins)]


def _other_origins(tag: Tag) -> list[str]:
    return [path for path in tag.origins if path != tag.module]
