"""Values that are alike though their layout differs."""

from __future__ import annotations

import numpy as np

from onnx_tagger.exporters.truth.alike import Alike, in_order_of_size


def test_values_are_alike_in_any_order_and_the_nearest_counts() -> None:
    draw = np.random.default_rng(0)
    value = draw.standard_normal((4, 5)).astype(np.float32)
    alike = Alike([value, value.T.copy(), value * 1.0005, value + 1, None, np.arange(20)])
    assert alike.of[0] == alike.of[1]
    assert alike.of[4] is None
    assert alike.find(in_order_of_size(value * (1 + 1e-6))) == (alike.of[0],)
    assert alike.find(in_order_of_size(value * 1.0005)) == (alike.of[2],)
    assert alike.find(in_order_of_size(value * 1.1)) == ()
    assert alike.find(in_order_of_size(np.arange(20)[::-1]), exact=True) == (alike.of[5],)
    assert alike.find(in_order_of_size(np.arange(1, 21)), exact=True) == ()


def test_masked_scores_do_not_drown_the_tolerance() -> None:
    draw = np.random.default_rng(1)
    scores, others = (draw.standard_normal(12).astype(np.float32) for _ in range(2))
    for value in (scores, others):
        value[:4] = np.finfo(np.float32).min
    alike = Alike([scores])
    assert alike.find(in_order_of_size(others)) == ()
    endless = np.where(scores < -1e30, -np.inf, scores)
    assert alike.find(in_order_of_size(endless)) == (0,)
