"""The names of the metrics by which tensors are compared; `distances`, which loads numpy, says what each computes."""

from __future__ import annotations

from typing import Literal, get_args

Metric = Literal["sqnr", "max", "cosine", "ulp"]
METRICS: tuple[Metric, ...] = get_args(Metric)
