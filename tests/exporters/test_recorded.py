"""Recording what the modules of a model take and give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from examples.faulty import net
from examples.reused import Reused
from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.recorded import record, with_arrays, with_values


def test_every_call_has_what_it_took_and_gave() -> None:
    model, args = net()
    found = record(model, args)
    sides = {(port.call, port.side): found.values[port.value] for port in found.ports}
    with torch.no_grad():
        block = model.blocks[0]
        scaled = args[0] * 2.0
        np.testing.assert_array_equal(sides["blocks.0.norm", "in"], scaled.numpy())
        np.testing.assert_array_equal(sides["blocks.0.norm", "out"], block.norm(scaled).numpy())
        np.testing.assert_array_equal(sides["", "out"], model(*args).numpy())
    assert list(found.inputs) == ["x"]


def test_calls_of_one_module_are_told_apart() -> None:
    found = record(Reused().eval(), (torch.randn(2, 4),))
    assert {"twice@0.linear", "twice@1.linear", "direct.linear"} <= set(found.calls)


def test_own_operations_have_their_place_in_the_run() -> None:
    found = record(*net())
    first, last = found.spans["blocks.0"]
    assert first < found.spans["blocks.0.norm"][0] <= found.spans["blocks.0.down"][1] < last
    assert last < found.spans["blocks.1"][0]


def test_what_is_written_in_place_later_is_kept_as_it_was() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x).zero_()

    found = record(InPlace().eval(), (torch.ones(1, 4),))
    out = next(port.value for port in found.ports if port.call == "linear" and port.side == "out")
    assert found.values[out].any()


def test_a_model_that_raises() -> None:
    with pytest.raises(ExportError, match="the model raised on these inputs"):
        record(nn.Linear(4, 4), (torch.ones(1, 3),))


def test_other_values_in_a_call() -> None:
    model, args = net()
    (changed,), _ = with_values(model, args, {}, np.zeros_like)
    assert isinstance(changed, torch.Tensor)
    assert changed.shape == args[0].shape
    assert not changed.any()


def test_values_of_a_file_in_a_call() -> None:
    model, args = net()
    (changed,), _ = with_arrays(model, args, {}, {"x": np.ones((1, 2, 8))}, "v.npz")
    assert isinstance(changed, torch.Tensor)
    assert changed.shape == (1, 2, 8)
    assert changed.dtype is torch.float32
    with pytest.raises(TaggerError, match=r"v.npz: has an array 'y', which is none of the model's inputs \(x\)"):
        with_arrays(model, args, {}, {"y": np.ones(3)}, "v.npz")
