"""Inputs that are made up from a configuration."""

from types import SimpleNamespace

import torch

from onnx_tagger.exporters.sources.inputs import make_inputs


class Tokens(torch.nn.Module):
    """Takes what its config, a stand-in for one of transformers, describes."""

    config = SimpleNamespace(vocab_size=9, type_vocab_size=2, eos_token_id=7, pad_token_id=0)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        return input_ids


def test_tokens_avoid_special_ids_and_end_as_a_text_does():
    ids = make_inputs(Tokens())["input_ids"]
    assert ids.shape == (2, 8)
    assert ids[:, -1].tolist() == [7, 7]
    assert not set(ids[:, :-1].flatten().tolist()) & {0, 7}
