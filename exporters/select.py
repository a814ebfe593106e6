"""Which strategy exports a model: the one that was asked for, or fx and then htp, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TypeVar

import torch
from torch import nn

from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters import ALIASES, STRATEGIES
from onnx_tagger.exporters.base import Exported, Exporter, Request
from onnx_tagger.exporters.capture import Captured

# In the order in which auto tries them.
ORDER = tuple(STRATEGIES)

Made = TypeVar("Made")


def strategy_names(strategy: str) -> tuple[str, ...]:
    """The strategies to try, in order.

    Raises
    ------
    TaggerError
        If the name is not known.
    """
    name = ALIASES.get(strategy, strategy)
    if name == "auto":
        return ORDER
    if name not in ORDER:
        raise TaggerError(f"unknown strategy {strategy!r}: choose from auto, {', '.join((*ORDER, *ALIASES))}")
    return (name,)


def exporter(name: str) -> Exporter:
    """The exporter of a strategy."""
    module, _, made = STRATEGIES[name].partition(":")
    found: Exporter = getattr(import_module(module), made)()
    return found


def export_with(
    strategy: str, request: Request, captured: Captured, before: Callable[[str], None]
) -> tuple[str, Exported]:
    """Export with a strategy; `auto` takes the first that works and notes why the others did not.

    Parameters
    ----------
    strategy : str
        A strategy, or auto.
    request : Request
    captured : Captured
    before : callable
        Called with a strategy's name before it is tried; may raise `ExportError`, which is then why it does not work.

    Returns
    -------
    tuple of (str, Exported)
        The name of the strategy that was taken, and what it gave.

    Raises
    ------
    ExportError
        If none works; the message gives each one's reason.
    """

    def attempt(name: str) -> Exported:
        before(name)
        return exporter(name).export(request, captured)

    name, exported, reasons = first_that_works(strategy, attempt)
    if reasons:
        notes = [*(f"auto took {name}, since {other}: {why}" for other, why in reasons.items()), *exported.notes]
        exported = replace(exported, notes=notes)
    return name, exported


def first_that_works(strategy: str, attempt: Callable[[str], Made]) -> tuple[str, Made, dict[str, str]]:
    """Try the strategies that a name stands for, in order, until one works.

    Parameters
    ----------
    strategy : str
        A strategy, or auto.
    attempt : callable
        Given a strategy's name, what it makes; raises `ExportError` if it cannot.

    Returns
    -------
    tuple of (str, Made, dict)
        The name of the strategy that works, what it made, and the name of each one before it with the reason why that
        does not.

    Raises
    ------
    ExportError
        If none works; the message gives each one's reason, the cause is the last one's error.
    """
    reasons: dict[str, str] = {}
    last: ExportError | None = None
    for name in strategy_names(strategy):
        try:
            return name, attempt(name), reasons
        except ExportError as error:
            reasons[name] = str(error)
            last = error
    advice = "try --strategy auto" if len(reasons) == 1 else "change the model's code or its inputs"
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise ExportError(f"the model cannot be exported: {told}: {advice}") from last


def smallest() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """A model of one operation and its input: exporting it loads what an exporter loads when it is first used."""
    return nn.ReLU(), (torch.zeros(1, 2),)
