"""Wrapping forwards where they are defined: who is wrapped, what a module shows of it, and what is left."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from onnx_tagger.exporters.recording.forwards import forwards_wrapped


class Base(nn.Module):
    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return x * scale


class Derived(Base):
    def forward(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return super().forward(x, scale)


class Inherits(Base):
    pass


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base, self.derived, self.inherits, self.held = Base(), Derived(), Inherits(), Base()
        self.held.forward = lambda x, self=3.0: x * self  # type: ignore[method-assign]
        self.rest = nn.ModuleList()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.derived(x) + self.inherits.forward(x) + self.held(x)


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def around(ran: list[str]) -> Callable[..., Callable[..., Any]]:
    def wrap(function: Callable[..., Any], homes: Mapping[int, str]) -> Callable[..., Any]:
        def wrapper(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if id(self.__dict__) in homes:
                ran.append(homes[id(self.__dict__)])
            return function(self, *args, **kwargs)

        return wrapper

    return wrap


def test_each_module_is_wrapped_once_and_shows_nothing_of_it(
    ran: list[str], around: Callable[..., Callable[..., Any]]
) -> None:
    model, other, x = Holder(), Holder(), torch.ones(1)
    paths = {module: path for path, module in model.named_modules()}
    own = model.held.__dict__["forward"]
    keys = [list(vars(module)) for module in paths]
    signatures = [inspect.signature(model.get_submodule(path).forward) for path in ("", "base", "derived", "held")]
    with forwards_wrapped(paths, around):
        assert torch.equal(model(x), other(x))
        assert ran == ["", "base", "derived", "inherits", "held"]
        assert [list(vars(module)) for module in paths] == keys
        seen = [inspect.signature(model.get_submodule(path).forward) for path in ("", "base", "derived", "held")]
        assert seen == signatures
    model(x)
    assert len(ran) == 5
    assert model.held.__dict__["forward"] is own
    assert all(vars(kind)["forward"].__name__ == "forward" for kind in (Base, Derived, Holder))
    assert not hasattr(vars(Base)["forward"], "__wrapped__")


def test_what_others_put_over_a_wrapper_stays_and_ours_does_nothing_anymore(
    ran: list[str], around: Callable[..., Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, original = Base(), Base.forward
    monkeypatch.setattr(Base, "forward", original)
    with forwards_wrapped({model: "it"}, around):
        ours = Base.forward
        theirs = lambda self, *args: ours(self, *args)  # noqa: E731 - it stands for another library's wrapper
        Base.forward = theirs  # type: ignore[method-assign]
    assert Base.forward is theirs
    model(torch.ones(1))
    assert ran == []


def test_a_module_that_shares_the_dictionary_of_another_is_taken_for_it(
    ran: list[str], around: Callable[..., Callable[..., Any]]
) -> None:
    model = Base()
    proxy = Base.__new__(Base)
    proxy.__dict__ = model.__dict__
    with forwards_wrapped({model: "it"}, around):
        proxy(torch.ones(1))
    assert ran == ["it"]
