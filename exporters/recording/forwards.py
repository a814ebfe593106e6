"""Replacing the `forward` of module instances for a while, and putting back what was there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Forward = Callable[..., Any]


@contextmanager
def forwards_replaced() -> Iterator[Callable[[nn.Module, Forward], None]]:
    """Yield a function that replaces a module's forward on the instance; all are restored in the end."""
    missing = object()
    before: list[tuple[nn.Module, object]] = []

    def replace(module: nn.Module, forward: Forward) -> None:
        before.append((module, module.__dict__.get("forward", missing)))
        # Past `__setattr__`, which some modules guard.
        module.__dict__["forward"] = forward

    try:
        yield replace
    finally:
        for module, forward in reversed(before):
            if forward is missing:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward
