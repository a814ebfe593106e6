"""The log of calls: labels of what is called more than once, hooks, and that nothing is left behind."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from examples.reused import Block, Reused, X
from onnx_tagger.errors import ExportError
from onnx_tagger.exporters.capture import capture
from onnx_tagger.exporters.recording.recording import CallLog


def test_labels_calls_of_what_is_called_more_than_once() -> None:
    calls = capture(Reused(), (X,)).calls
    assert calls.label("twice.linear", 0) == ("twice@0.linear",)
    assert calls.label("twice.linear", 1) == ("twice@1.linear",)
    assert calls.label("blocks.0.linear", 0) == ()
    assert calls.label("idle", 0) == ()


def test_numbers_calls_within_the_call_around_them() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Reused()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.inner(x))

    calls = capture(Outer(), (X,)).calls
    assert [calls.label("inner.twice", i) for i in range(4)] == [
        ("inner@0.twice@0",),
        ("inner@0.twice@1",),
        ("inner@1.twice@0",),
        ("inner@1.twice@1",),
    ]


def test_what_a_hook_of_the_root_calls_is_called_in_the_same_run() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = Block(), Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x))

    before, behind = Holds(), Holds()
    before.register_forward_pre_hook(lambda module, args: (module.first(args[0]),))
    behind.register_forward_hook(lambda module, _, out: module.first(out))
    first, second = ("first@0.linear",), ("first@1.linear",)
    for model, want in ((before, [first, second, ()]), (behind, [first, (), second])):
        trace = capture(model, (X,)).hierarchy.trace
        assert [step.call for step in trace if step.operator == "addmm"] == want


def test_the_root_s_first_call_alone_is_one_with_what_its_hooks_call() -> None:
    log = CallLog()
    for entered in (["a"], ["", "a"], ["", "a"], ["b"]):
        for path in entered:
            log.enter(path)
        for _ in entered:
            log.leave()
    assert [log.label("a", i) for i in range(3)] == [("a@0",), ("a@1",), ()]
    assert log.label("b", 0) == ()


def test_restores_everything_also_when_the_model_raises() -> None:
    class Raises(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            super().forward(x)
            raise RuntimeError("no\nmore")

    model = Raises().train()
    model.blocks.eval()
    own = lambda x: x  # noqa: E731 - an instance's own forward must come back as it was
    model.idle.forward = own
    fastpath = torch.backends.mha.get_fastpath_enabled()
    state = torch.random.get_rng_state()
    with pytest.raises(ExportError, match=r"RuntimeError: no more\)"):
        capture(model, (X,))
    assert model.training
    assert not model.blocks[0].training
    assert model.idle.__dict__["forward"] is own
    assert [path for path, m in model.named_modules() if "forward" in m.__dict__] == ["idle"]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    assert torch.equal(torch.random.get_rng_state(), state)


def test_keeps_the_signature_that_models_inspect() -> None:
    class Inspects(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert list(inspect.signature(self.block.forward).parameters) == ["x", "scale"]
            return self.block(x)

    capture(Inspects(), (X,))


def test_a_scripted_module_is_counted() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scripted = torch.jit.script(nn.Linear(4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scripted(x)

    module = capture(Holds(), (X,)).hierarchy.by_path["scripted"]
    assert (module.calls, module.class_name, module.tag) == (1, "Linear", "/Holds/Linear")
