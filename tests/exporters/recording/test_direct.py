"""Forwards that are called without their module's call, however others have wrapped that."""

from __future__ import annotations

import functools
import types
from pathlib import Path

import pytest
import torch
from torch import nn

import onnx_tagger as ot
from examples.blocks import tags_of
from examples.reused import Block, Reused, X
from onnx_tagger.exporters.capture import capture


def test_a_direct_forward_is_counted_and_known_as_direct() -> None:
    captured = capture(Reused(), (X,))
    assert captured.hierarchy.by_path["direct.linear"].calls == 1
    assert captured.hierarchy.by_path["direct"].calls == 0
    assert captured.calls.direct == {"direct.linear"}


def test_a_call_of_a_module_with_hooks_is_no_direct_one() -> None:
    model = Reused()
    for module in (model, model.twice, model.twice.linear):
        module.register_forward_pre_hook(lambda *_: None)
        module.register_forward_hook(lambda *_: None)
    captured = capture(model, (X,))
    assert captured.calls.direct == {"direct.linear"}
    assert captured.hierarchy.by_path["twice.linear"].calls == 2


def test_a_forward_called_within_a_call_of_another_module_is_direct() -> None:
    class Borrows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lent, self.block = nn.Linear(4, 4), Block()
            self.block.register_forward_pre_hook(lambda _, args: (self.lent.forward(*args),))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(x)

    assert capture(Borrows(), (X,)).calls.direct == {"lent"}


# What stands in for a method of torch's, given that method.
WRAPPED = {
    "function": lambda method: functools.wraps(method)(lambda self, *args, **kwargs: method(self, *args, **kwargs)),
    "partial": functools.partialmethod,
    "own code": lambda method: types.FunctionType(
        method.__code__.replace(co_name="theirs"), dict(method.__globals__), closure=method.__closure__
    ),
}


@pytest.mark.parametrize("name", ["_call_impl", "_wrapped_call_impl", "__call__"])
@pytest.mark.parametrize("wrap", WRAPPED)
def test_direct_calls_are_known_where_others_have_wrapped_the_call(
    name: str, wrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = dict(nn.modules.module._global_forward_pre_hooks)
    for _ in range(2):
        for model in (Reused(), Reused()):
            captured = capture(model, (X,), digests=False)
            assert captured.calls.direct == {"direct.linear"}
            assert captured.hierarchy.by_path["twice.linear"].calls == 2
            assert not any("forward" in module.__dict__ for module in model.modules())
        assert dict(nn.modules.module._global_forward_pre_hooks) == hooks
        monkeypatch.setattr(nn.Module, name, WRAPPED[wrap](getattr(nn.Module, name)))


class HookedDirect(nn.Module):
    """Calls a hooked child past its hooks, and by itself; the child calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.child = Recursive()
        self.child.register_forward_hook(lambda _, args, out: out * 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.child(self.child.forward(x, 0))


class Recursive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, times: int = 1) -> torch.Tensor:
        x = torch.tanh(self.linear(x))
        return self(x, times - 1) if times else x


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_direct_forward_of_a_hooked_module_is_tagged_and_its_hooks_do_not_run(strategy: str, tmp_path: Path) -> None:
    exported = ot.export(HookedDirect(), (X,), tmp_path / "m.onnx", strategy=strategy)
    assert exported.report.ok, exported.report.failures
    tanh = [tag.call for kind, tag in tags_of(exported.path) if kind == "Tanh"]
    assert tanh == [("child@0",), ("child@1",), ("child@2",)]
