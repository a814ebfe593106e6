"""Measures by name, and their numbers."""

import numpy as np
import pytest
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures import MEASURES
from onnx_tagger.measures.measure import Column, Measure, Measured, measures_of
from onnx_tagger.model.graph import walk


def measured() -> Measured:
    walked = walk(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [])))
    return Measured(walked, walked.ops, [None])


def test_none_is_a_gap_in_the_numbers() -> None:
    numbers = Measure(Column("e"), [1.0, None]).numbers
    assert numbers[0] == 1
    assert np.isnan(numbers[1])


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_a_number_or_none_for_each_node(name: str) -> None:
    found = measures_of([name], measured())
    assert found
    assert all(len(measure.values) == 1 for measure in found)


def test_measures_come_once_in_the_order_that_was_asked_for() -> None:
    assert [m.column.name for m in measures_of(["weights", "nodes", "weights"], measured())] == ["weights", "nodes"]


def test_an_unknown_measure_is_answered_with_similar_ones() -> None:
    with pytest.raises(TaggerError, match="no measure is named 'weight': did you mean 'weights'"):
        measures_of(["weight"], measured())
    with pytest.raises(TaggerError, match="'zzz': choose from nodes"):
        measures_of(["zzz"], measured())
