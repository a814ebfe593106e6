"""What files are fed, and files that cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from examples.faulty import file_of, tagged
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.comparison.feeding import fitted_feeds, insist_on_repeatable, is_tagged, resampled, spans_of

INPUTS = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT16, [2]) for name in ("a", "b")}


def test_inputs_are_found_by_name_and_cast() -> None:
    found = fitted_feeds("f", INPUTS, {"b": np.ones(2), "c": np.ones(1), "a": np.zeros(2)})
    assert (found["a"].dtype, found["a"].tolist(), found["b"].tolist()) == (np.float16, [0, 0], [1, 1])


def test_inputs_that_were_renamed_are_found_by_their_old_names() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    value.metadata_props.add(key="pkg.torch.onnx.original_node_name", value="old")
    assert fitted_feeds("f", {"x": value}, {"other": np.zeros(2), "old": np.ones(2)})["x"].tolist() == [1, 1]


def test_inputs_that_nothing_names_are_found_by_position() -> None:
    assert fitted_feeds("f", INPUTS, {"p": np.ones(2), "q": np.zeros(2)})["a"].tolist() == [1, 1]


def test_an_input_without_a_value() -> None:
    with pytest.raises(TaggerError, match="f: there is no value for the input 'b'; give one with --inputs"):
        fitted_feeds("f", INPUTS, {"a": np.ones(2)})


def test_other_samples_are_of_the_same_kind() -> None:
    floats = np.random.default_rng(0).normal(5, 2, 10_000).astype(np.float32)
    other = resampled(floats, 1)
    assert other.dtype == floats.dtype
    assert (other.mean(), other.std()) == pytest.approx((5, 2), abs=0.1)
    ids = np.arange(100)
    assert sorted(resampled(ids, 1).tolist()) == ids.tolist()
    assert not np.array_equal(resampled(ids, 1), ids)
    assert resampled(floats, 0) is floats


@pytest.mark.parametrize(
    "node",
    [helper.make_node("RandomNormalLike", ["x"], ["out"]), helper.make_node("Dropout", ["x", "r", "t"], ["out"])],
)
def test_random_operators_are_refused(node: object) -> None:
    ctx = read_tags(file_of(node))  # type: ignore[arg-type]
    with pytest.raises(TaggerError, match="is random, so no two runs agree; export the model in evaluation mode"):
        insist_on_repeatable(ctx, "f")


def test_our_own_tags_and_what_runs_when() -> None:
    bare, node = helper.make_node("Relu", ["x"], ["a"]), tagged(helper.make_node("Relu", ["a"], ["out"]), "p")
    assert not is_tagged(read_tags(file_of(bare)))
    ctx = read_tags(file_of(bare, node))
    assert is_tagged(ctx)
    assert spans_of(ctx) == {"p": (1, 1)}
