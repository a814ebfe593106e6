"""A call with nested and keyword inputs as a call with tensors in a row."""

from __future__ import annotations

import torch
from torch import nn

from onnx_tagger.exporters.torchscript.flatcall import flatten_call


def test_flatten_call_is_undone_by_rebuild() -> None:
    class Takes(nn.Module):
        def forward(self, a: torch.Tensor, b: list[torch.Tensor], flag: bool = False) -> torch.Tensor:
            return a

    a, b = torch.zeros(1), [torch.ones(1), torch.ones(2)]
    call = flatten_call(Takes(), (a, b), {"flag": True})
    assert call.names == ["a", "b_0", "b_1"]
    args, kwargs = call.rebuild([tensor + 1 for tensor in call.tensors])
    assert kwargs == {"flag": True}
    assert torch.equal(args[1][1], torch.full((2,), 2.0))
