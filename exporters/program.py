"""The dynamo export itself: from a model to an ONNX program, with what has to be done so that it succeeds."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from torch import nn
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.base import Request
from onnx_tagger.exporters.capture import Captured, direct_modules, first_line, quiet_run
from onnx_tagger.exporters.direct import calls_seen
from onnx_tagger.exporters.flatcall import bound_names
from onnx_tagger.metadata import TORCH_SCOPES, literal_list

_NOISY = ("torch.onnx", "torch._export", "onnxscript", "onnx_ir")


def make_program(request: Request, captured: Captured, notes: list[str]) -> Any:
    """Export, with the adaptations that a model needs; each is told in `notes`.

    A model that torch cannot export is tried once more with gradients off, which some views need. A model with
    control flow is exported in strict mode if that works: only there does torch keep the modules of what runs in
    branches and loops.

    Returns
    -------
    torch.onnx.ONNXProgram

    Raises
    ------
    ExportError
        With the first reason, in one line.
    """
    try:
        program = _export(request, captured)
    except Exception as error:
        frozen = [p for p in request.model.parameters() if p.requires_grad]
        if not frozen or isinstance(error, TaggerError):
            raise _explained(error) from error
        try:
            with _without_gradients(frozen):
                program = _export(request, captured)
        except Exception:  # noqa: BLE001 - whatever the second try says, the first reason is the one to tell
            raise _explained(error) from error
        notes.append(f"fx: exported with requires_grad switched off for the export, since: {_reason(error)}")
    if _blind_bodies(program):
        try:
            program = _export(request, captured, strict=True)
        except Exception as error:  # noqa: BLE001 - the program at hand is a good one, less is known of its bodies
            notes.append(f"fx: the modules inside control flow are not known, strict export fails: {_reason(error)}")
        else:
            notes.append("fx: exported in strict mode, which alone tells the modules inside control flow")
    return program


def _export(request: Request, captured: Captured, *, strict: bool = False) -> Any:
    options: dict[str, Any] = {}
    shapes: dict[str, Any] = {"dynamic_shapes": _dynamic_shapes(request)} if request.dynamic else {}
    if request.opset is not None:
        options["opset_version"] = request.opset
    direct = direct_modules(request.model, captured.calls)
    kwargs = dict(request.kwargs)
    with quiet_run(request.model), calls_seen(direct), _quiet():
        model: Any = request.model
        if strict:
            model = torch.export.export(model, request.args, kwargs=kwargs, strict=True, **shapes)
        program = torch.onnx.export(
            model, request.args, kwargs=kwargs, dynamo=True, verbose=False, **options, **({} if strict else shapes)
        )
    if program is None:
        raise ExportError("torch.onnx.export returned no program")
    return program


def _blind_bodies(program: Any) -> bool:
    """Whether nodes in bodies do not say which module they are of."""
    return any(
        node.graph is not program.model.graph and len(literal_list(node.metadata_props.get(TORCH_SCOPES)) or ()) < 2
        for node in ir.traversal.RecursiveGraphIterator(program.model.graph)
    )


def _dynamic_shapes(request: Request) -> dict[str, Any]:
    """Every dimension of every tensor is left to torch, which fixes those that the model needs fixed."""

    def open_dims(leaf: object) -> object:
        return dict.fromkeys(range(leaf.ndim), torch.export.Dim.AUTO) if isinstance(leaf, torch.Tensor) else None

    names = bound_names(request.model, request.args, request.kwargs)
    values = (*request.args, *request.kwargs.values())
    return {name: pytree.tree_map(open_dims, value) for name, value in zip(names, values, strict=True)}


@contextmanager
def _without_gradients(parameters: list[nn.Parameter]) -> Iterator[None]:
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's progress and deprecation notes out of our streams."""
    loggers = [logging.getLogger(name) for name in (*_NOISY, *_below(_NOISY))]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _below(names: tuple[str, ...]) -> list[str]:
    """Loggers that exist below the given ones: some set a level of their own."""
    prefixes = tuple(name + "." for name in names)
    return [name for name in logging.Logger.manager.loggerDict if name.startswith(prefixes)]


def _explained(error: Exception) -> Exception:
    return error if isinstance(error, TaggerError) else ExportError(f"torch.export cannot do it: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """The first line of the innermost cause."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(error)}"
