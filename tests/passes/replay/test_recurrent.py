"""Recurrent layers whose steps the run holds one by one."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.model.metadata import own_tag, props_of
from onnx_tagger.passes.replay.recurrent import first_of_calls, layers, unrolled


def step(operator: str, *weights: str, call: str = "rnn@0", module: str = "rnn") -> Operation:
    return Operation(module, operator, False, weights, (call,), ())


STEP = [step("addmm", "w"), step("sigmoid"), step("mul")]
TWO_CALLS = [*STEP, *STEP, step("relu", module=""), *(each._replace(call=("rnn@1",)) for each in STEP)]


def test_a_layer_is_put_to_the_first_operation_of_each_call() -> None:
    assert first_of_calls(TWO_CALLS, [0, 3, 7]) == (0, 7)


def test_all_operations_of_all_steps_are_the_layers() -> None:
    assert unrolled(TWO_CALLS, [0, 3, 7]) == {0, 1, 2, 3, 4, 5, 7, 8, 9}
    assert layers(TWO_CALLS, [[0, 3, 7]]) == ({0, 7}, {1, 2, 3, 4, 5, 8, 9})


def test_what_a_module_does_behind_the_last_step_is_its_own_work() -> None:
    own = [*STEP, *STEP, step("tanh")]
    assert 6 not in unrolled(own, [0, 3])


@pytest.mark.parametrize("operator", ["gru", "lstm", "mkldnn_rnn_layer"])
def test_a_layer_that_ran_in_one_operation_has_no_steps(operator: str) -> None:
    trace = [step(operator, "w"), step("tanh")]
    assert unrolled(trace, [0]) == frozenset()
    assert layers(trace, [[0]]) == (frozenset(), frozenset())


class Gated(nn.Module):
    """A recurrent layer with the kinds of work that it does itself before and behind it."""

    def __init__(self, layer: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__()
        self.before, self.cell, self.gate = nn.Tanh(), layer(4, 4, batch_first=True), nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.cell(self.before(x))[0]
        return torch.tanh(self.gate(y + x) + y)


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM])
def test_pointwise_work_around_a_recurrent_layer_is_not_taken_for_its_steps(
    tmp_path: Path, layer: type[nn.GRU] | type[nn.LSTM]
) -> None:
    model, args = Gated(layer).eval(), (torch.randn(2, 3, 4),)
    exported = ot.export(model, args, tmp_path / "whole.onnx", strategy="fx")
    ot.strip(exported.path, tmp_path / "bare.onnx")
    ot.retag(tmp_path / "bare.onnx", ot.capture(model, args), tmp_path / "tagged.onnx")
    was, now = (modules(tmp_path / name) for name in ("whole.onnx", "tagged.onnx"))
    assert was == now
    assert {"before", "cell", "gate", ""} <= set(was)


def modules(path: Path) -> list[str | None]:
    """The modules of all nodes but constants, in order."""
    nodes = [node for node in onnx.load(path).graph.node if node.op_type != "Constant"]
    return [None if (tag := own_tag(props_of(node))) is None else tag.module for node in nodes]
