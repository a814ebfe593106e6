"""Keeping out of our streams what torch and its exporters print and log while they export.

What the model's own code prints still arrives. With `debug` everything does.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, TextIO

# The packages that say more than a user has asked for.
_NOISY = ("torch", "onnxscript", "onnx_ir")


@contextmanager
def torch_quiet(debug: bool = False) -> Iterator[None]:
    """Drop what torch and onnxscript log, print and warn of while the block runs.

    Parameters
    ----------
    debug : bool
        True to let it through.
    """
    if debug:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_logs_off())
        for name in ("stdout", "stderr"):
            stack.enter_context(_prints_off(name))
        yield


@contextmanager
def _logs_off() -> Iterator[None]:
    """Only what is fatal is logged; some loggers have a level of their own."""
    below = tuple(name + "." for name in _NOISY)
    names = (*_NOISY, *(name for name in logging.Logger.manager.loggerDict if name.startswith(below)))
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _prints_off(name: str) -> Iterator[None]:
    """Have a stream take nothing from torch's code; torch prints the graph that it could not export."""
    stream = getattr(sys, name)
    if stream is None:
        yield
        return
    filtered = _Filtered(stream)
    setattr(sys, name, filtered)
    try:
        yield
    finally:
        filtered.filtering = False
        # If others have put theirs in its place meanwhile, that stays.
        if getattr(sys, name) is filtered:
            setattr(sys, name, stream)


class _Filtered:
    """A stream that drops what is written by code of the noisy packages."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.filtering = stream, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text, unless one of the packages does: `print` is no frame of its own."""
        if self.filtering and is_of(sys._getframe(1).f_globals, _NOISY):
            return len(text)
        return self.stream.write(text)


def user_frame() -> FrameType | None:
    """The innermost running frame of the model's code: neither torch's nor ours, nor the library that warns."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_of(frame.f_globals, (*_NOISY, "onnx_tagger", "warnings")):
        frame = frame.f_back
    return frame


def is_of(names: dict[str, Any], packages: tuple[str, ...]) -> bool:
    """Whether a frame's global names are those of a module of these packages."""
    module = names.get("__name__")
    return isinstance(module, str) and module.partition(".")[0] in packages
