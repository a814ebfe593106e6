"""Which strategy exports a model: the one that was asked for, or fx and then htp, and why."""

from __future__ import annotations

from dataclasses import replace

from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.base import Exported, Exporter, Request
from onnx_tagger.exporters.capture import Captured

# Names that are accepted for a strategy.
ALIASES = {"dynamo": "fx", "torchscript": "htp"}

# In the order in which auto tries them: fx knows the module of nearly every node and keeps it through its own folds.
ORDER = ("fx", "htp")


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
    if name == "fx":
        from onnx_tagger.exporters.fx import FxExporter

        return FxExporter()
    from onnx_tagger.exporters.htp import HtpExporter

    return HtpExporter()


def export_with(strategy: str, request: Request, captured: Captured) -> tuple[str, Exported]:
    """Export with a strategy; `auto` takes the first that works and notes why the others did not.

    Returns
    -------
    tuple of (str, Exported)
        The name of the strategy that was taken, and what it gave.

    Raises
    ------
    ExportError
        If none works; the message gives each one's reason.
    """
    reasons: list[str] = []
    for name in strategy_names(strategy):
        try:
            exported = exporter(name).export(request, captured)
        except ExportError as error:
            reasons.append(f"{name}: {error}")
            continue
        if reasons:
            notes = [*(f"auto took {name}, since {reason}" for reason in reasons), *exported.notes]
            exported = replace(exported, notes=notes)
        return name, exported
    advice = "try --strategy auto" if len(reasons) == 1 else "change the model's code or its inputs"
    raise ExportError(f"the model cannot be exported: {'; '.join(reasons)}: {advice}")
