"""Adding numbers up over a tree that is given as parents."""

import numpy as np
import pytest

from onnx_tagger.measures.rollup import roll_up

NAN = float("nan")


def rolled(rule: str, parents: list[int], places: list[int], values: list[float]) -> tuple[list[object], list[object]]:
    found = roll_up(parents, np.array(places, dtype=np.int64), np.array(values), None, rule)  # type: ignore[arg-type]
    return [*found.own, found.untagged], [*found.total, found.whole]


@pytest.mark.parametrize(
    ("rule", "own", "total"),
    [
        ("sum", [0, 3, 4, 8], [7, 7, 4, 15]),
        ("max", [None, 2, 4, 8], [4, 4, 4, 8]),
        ("rms", [None, 2.5**0.5, 4, 8], [7**0.5, 7**0.5, 4, 21.25**0.5]),
    ],
)
def test_a_chain_of_three(rule: str, own: list[object], total: list[object]) -> None:
    found = rolled(rule, [-1, 0, 1], [1, 1, 2, -1], [1, 2, 4, 8])
    assert found[0] == [pytest.approx(value) for value in own]
    assert found[1] == [pytest.approx(value) for value in total]


@pytest.mark.parametrize("rule", ["sum", "max", "rms"])
def test_numbers_that_are_missing(rule: str) -> None:
    own, total = rolled(rule, [-1, 0, 0], [1, 2, -1], [NAN, 3, NAN])
    assert own[1:] == [None, 3, None]
    assert total == [3, None, 3, 3]


def test_numbers_below_zero() -> None:
    assert rolled("max", [-1, 0], [0, 1], [-5, -3]) == ([-5, -3, None], [-3, -3, -3])
    assert rolled("sum", [-1, 0], [0, 1], [-5, -3]) == ([-5, -3, 0], [-8, -3, -8])
