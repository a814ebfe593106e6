"""Inputs by themselves: spec files and their errors, what is tried, and what is said when nothing fits."""

import json
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from onnx_tagger.errors import SourceError  # noqa: E402
from onnx_tagger.exporters.sources.inputs import make_inputs  # noqa: E402


class Tokens(torch.nn.Module):
    """Takes what its config, a stand-in for one of transformers, describes."""

    config = SimpleNamespace(vocab_size=9, type_vocab_size=2, eos_token_id=7, pad_token_id=0)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        return input_ids


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
