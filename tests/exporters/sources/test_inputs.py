"""Inputs by themselves: spec files and their errors, what is tried, and what is said when nothing fits."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from onnx_tagger.errors import SourceError  # noqa: E402
from onnx_tagger.exporters.sources.inputs import make_inputs  # noqa: E402
from onnx_tagger.exporters.sources.inputspec import read_spec, spec_of, spec_tensors  # noqa: E402


class Tokens(torch.nn.Module):
    """Takes what its config, a stand-in for one of transformers, describes."""

    config = SimpleNamespace(vocab_size=9, type_vocab_size=2, eos_token_id=7, pad_token_id=0)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        return input_ids


def spec_file(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"dtype": "int64"}, "shape"),
        ({"dtype": "int", "shape": [2]}, "dtype"),
        ({"dtype": "int64", "shape": [2], "size": 3}, "size"),
        ({"dtype": "int64", "shape": [-1, 2]}, "shape.0"),
        ({"dtype": "int64", "shape": [0]}, "shape.0"),
        ({"dtype": "int64", "shape": ["batch"]}, "shape.0"),
        ({"dtype": "int64", "shape": [1] * 9}, "shape"),
        ({"dtype": "int64", "shape": [2**20, 2**20]}, "more than"),
        ({"dtype": "int64", "shape": [2], "range": [3, 3]}, "empty"),
        ({"dtype": "int64", "shape": [2], "range": [0, 1.5]}, "integers"),
        ({"dtype": "uint8", "shape": [2], "range": [0, 999]}, "does not fit"),
        ({"dtype": "int64", "shape": [2], "range": [0, 1], "values": 0}, "both"),
        ({"dtype": "int64", "shape": [2], "values": 0.5}, "does not fit"),
        ({"dtype": "int8", "shape": [2], "values": 1000}, "value"),
        ({"dtype": "bool", "shape": [2], "values": 2}, "does not fit"),
        ({"dtype": "float32", "shape": [2], "values": [1, "a"]}, "does not fit"),
        ({"dtype": "int64", "shape": [2, 2], "values": [[1, 2], [3]]}, "nested list"),
        ({"dtype": "int64", "shape": [2.0]}, "shape.0"),
        ({"dtype": "int64", "shape": [True]}, "shape.0"),
        ({"dtype": "int64", "shape": [10**30]}, "more than"),
        ({"dtype": "float32", "shape": [2], "range": [0, 1, 2]}, "range"),
        ({"dtype": "float32", "shape": [2], "range": [0, True]}, "range.1"),
        ({"dtype": "float32", "shape": [2], "values": "1"}, "values"),
        ([2, 8], "entry"),
    ],
)
def test_spec_entries_that_are_refused(tmp_path, entry, says):
    path = spec_file(tmp_path, {"input_ids": entry})
    with pytest.raises(SourceError, match="'input_ids'") as caught:
        spec_tensors(read_spec(path), 0, str(path))
    assert says in str(caught.value)
    assert "an input takes 'dtype' (bool, uint8" in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": null, "a": null}', '{"a": NaN}', "[" * 100_000, "\x00"])
def test_spec_files_that_are_refused(tmp_path, content):
    with pytest.raises(SourceError, match="spec"):
        read_spec(spec_file(tmp_path, content))
    with pytest.raises(SourceError, match="spec"):
        read_spec(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "content", [r'{"x": {"dtype": "\ud800", "shape": [2]}}', r'{"x": {"dtype": "bool", "shape": [2], "\udfff": 1}}']
)
def test_text_that_is_half_a_character_is_refused(tmp_path, content):
    with pytest.raises(SourceError, match="'x', entry: a text is not valid"):
        read_spec(spec_file(tmp_path, content))


@pytest.mark.parametrize("numbers", ['"range": [0, 1e999]', '"values": -1e999'])
def test_numbers_that_are_not_finite_are_refused(tmp_path, numbers):
    """Which JSON cannot spell, but which too large an exponent gives."""
    with pytest.raises(SourceError, match=r"'x', entry: .*not finite"):
        read_spec(spec_file(tmp_path, f'{{"x": {{"dtype": "float32", "shape": [2], {numbers}}}}}'))


@given(
    st.sampled_from(["bool", "uint8", "int16", "int64", "float16", "float32"]),
    st.lists(st.integers(1, 4), max_size=3),
    st.integers(0, 50),
)
def test_spec_of_describes_tensors_that_it_gives_back(tmp_path_factory, dtype, shape, seed):
    path = spec_file(tmp_path_factory.mktemp("spec"), {"x": {"dtype": dtype, "shape": shape}})
    first = spec_tensors(read_spec(path), seed, "test")
    again = spec_tensors(read_spec(spec_file(path.parent, spec_of(first))), seed, "test")
    assert first["x"].dtype is again["x"].dtype
    assert list(first["x"].shape) == list(again["x"].shape) == shape
    if not first["x"].is_floating_point():
        assert again["x"].min() >= first["x"].min()
        assert again["x"].max() <= first["x"].max()


def test_tokens_avoid_special_ids_and_end_as_a_text_does():
    ids = make_inputs(Tokens())["input_ids"]
    assert ids.shape == (2, 8)
    assert ids[:, -1].tolist() == [7, 7]
    assert not set(ids[:, :-1].flatten().tolist()) & {0, 7}


def test_inputs_do_not_hang_on_each_other():
    model = Tokens()
    alone = make_inputs(model, spec=dict.fromkeys(("attention_mask", "token_type_ids")))
    assert list(alone) == ["input_ids"]
    assert torch.equal(make_inputs(model)["input_ids"], alone["input_ids"])


def test_what_no_rule_can_make_is_named_with_a_spec_to_start_from():
    class Odd(torch.nn.Module):
        def forward(self, spectrum, mask=None):
            return spectrum

    with pytest.raises(SourceError, match=r"Odd forwards: no rule makes 'spectrum'") as caught:
        make_inputs(Odd())
    spec = json.loads(str(caught.value).partition("to start from: ")[2])
    assert spec == {"spectrum": {"dtype": "float32", "shape": [2, 8]}}


def test_a_forward_that_refuses_all_inputs_is_quoted():
    class Refuses(torch.nn.Module):
        def forward(self, pixel_values):
            raise RuntimeError("never")

    with pytest.raises(SourceError, match=r"those made for pixel_values were refused.*RuntimeError: never") as caught:
        make_inputs(Refuses())
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert '"pixel_values": {"dtype": "float32", "shape": [2, 3, 224, 224]}' in str(caught.value)


def test_inputs_that_the_forward_refuses_are_left_out_aloud(caplog):
    class NoMask(torch.nn.Module):
        def forward(self, pixel_values, bbox=None):
            assert bbox is None
            return pixel_values

    assert list(make_inputs(NoMask())) == ["pixel_values"]
    assert "bbox left out" in caplog.text


def test_a_batch_of_one_is_tried_before_an_input_is_left_out():
    class Single(torch.nn.Module):
        def forward(self, pixel_values, bbox=None):
            assert pixel_values.shape[0] == 1
            return pixel_values

    assert {name: value.shape[0] for name, value in make_inputs(Single()).items()} == {"pixel_values": 1, "bbox": 1}


def test_trial_leaves_model_and_random_state_as_they_were():
    model = torch.nn.Sequential()
    model.forward = lambda pixel_values: torch.rand(1) + pixel_values.mul_(2)
    before = torch.get_rng_state()
    assert torch.equal(make_inputs(model)["pixel_values"], make_inputs(model)["pixel_values"])
    assert torch.equal(torch.get_rng_state(), before)
