"""Direct calls of `forward`, which exporters do not see: sent through the module's call for the time of an export.

Exporters note a module when it is called; code that calls `module.forward(...)` itself passes them by. The capture run
tells which modules are called so; only their forward is replaced, and only while exporting.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def calls_seen(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """While the block runs, a direct `forward` of these modules is a call of the module.

    A module with forward hooks of its own is left alone: a direct call does not run them, a call would.

    Parameters
    ----------
    modules : mapping
        Module path to module.
    """
    handles = []
    before: list[tuple[nn.Module, object]] = []
    missing = object()
    try:
        for module in modules.values():
            if module._forward_hooks or module._forward_pre_hooks:
                continue
            expected = _Expected()
            handles.append(module.register_forward_pre_hook(expected.announce))
            before.append((module, module.__dict__.get("forward", missing)))
            module.__dict__["forward"] = _routed(module, module.forward, expected)
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, forward in before:
            if forward is missing:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward


class _Expected:
    """Whether the next forward is the one that a call of the module makes."""

    def __init__(self) -> None:
        self.announced = False

    def announce(self, *_: object) -> None:
        self.announced = True

    def taken(self) -> bool:
        announced, self.announced = self.announced, False
        return announced


def _routed(module: nn.Module, forward: Callable[..., Any], expected: _Expected) -> Callable[..., Any]:
    @functools.wraps(forward)
    def routed(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs) if expected.taken() else module(*args, **kwargs)

    return routed
