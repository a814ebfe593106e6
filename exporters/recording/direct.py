"""Calls as exporters see them, put right for the time of an export: direct calls of `forward`, and hooks.

Exporters note a module when it is called; code that calls `module.forward(...)` itself passes them by. The capture run
tells which modules are called so; only their forward is replaced, and only while exporting.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from onnx_tagger.exporters.recording.forwards import forwards_replaced


@contextmanager
def calls_seen(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """While the block runs, a direct `forward` of these modules is a call of the module.

    A module with forward hooks of its own is left alone: a direct call does not run them, a call would.

    Parameters
    ----------
    modules : mapping
        Module path to module.
    """
    with ExitStack() as stack:
        replace = stack.enter_context(forwards_replaced())
        for module in modules.values():
            if has_hooks(module):
                continue
            expected = _Expected()
            stack.callback(module.register_forward_pre_hook(expected.announce).remove)
            replace(module, _routed(module, module.forward, expected))
        yield


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


def has_hooks(module: nn.Module) -> bool:
    """Whether a module has forward hooks of its own, which run in its call but not in its forward."""
    return bool(module._forward_hooks or module._forward_pre_hooks)
