"""Direct calls of `forward` as exporters see them, put right for the time of an export.

Exporters note a module when it is called; code that calls `module.forward(...)` itself passes them by. The capture run
tells which modules are called so; only their forward is wrapped, and only while exporting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.recording import announced_calls


@contextmanager
def calls_seen(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """While the block runs, a direct `forward` of these modules is a call of the module, though without its hooks.

    Parameters
    ----------
    modules : mapping
        Module path to module.
    """
    paths = {module: path for path, module in modules.items()}
    with announced_calls() as announced, forwards_wrapped(paths, partial(_routed, announced=announced)):
        yield


def _routed(function: Callable[..., Any], homes: Mapping[int, str], announced: set[int]) -> Callable[..., Any]:
    """A forward that, unless a call of its module has announced it, is called through its module."""

    def routed(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        number = id(self.__dict__)
        if number in announced or number not in homes:
            announced.discard(number)
            return function(self, *args, **kwargs)
        if has_hooks(self):
            # A direct call does not run them: the part of a call that does what it must is private.
            announced.add(number)
            return self._slow_forward(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self(*args, **kwargs)

    return routed


def has_hooks(module: nn.Module) -> bool:
    """Whether a module has forward hooks of its own, which run in its call but not in its forward."""
    return bool(module._forward_hooks or module._forward_pre_hooks)
