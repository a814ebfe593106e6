"""What each call of a module takes and gives in a run of torch, as the reference that files are compared with.

Every `forward` is wrapped: hooks on outputs miss what is done in front of a module, and direct calls. Which operations
run is noted no further than that each module's own ones have a place in the run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError, one_line
from onnx_tagger.exporters.capture import check_source, created_by
from onnx_tagger.exporters.interface import array_of
from onnx_tagger.exporters.recording.dispatched import is_view
from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.kept import KeepingMode, Kept
from onnx_tagger.exporters.recording.recording import CallLog, named_modules, plain_modules, quiet_run
from onnx_tagger.exporters.torchscript.flatcall import flatten_call, structures_in, structures_known
from onnx_tagger.measures.comparison.recorded import Port, Recording, Shelf, Side, Values


def record(model: nn.Module, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None) -> Recording:
    """Run a model once and keep what each call of each module took and gave.

    Parameters
    ----------
    model : torch.nn.Module
        On any device; left as it was.
    args, kwargs
        What its `forward` takes.

    Returns
    -------
    Recording

    Raises
    ------
    ExportError
        If the model raises on these inputs, or its own modules are gone.
    """
    check_source(model)
    try:
        given = copy.deepcopy((tuple(args), dict(kwargs or {})))
    except (TypeError, RuntimeError):
        given = tuple(args), dict(kwargs or {})
    call = flatten_call(model, *given)
    inputs = {name: array_of(tensor).copy() for name, tensor in zip(call.names, call.tensors, strict=True)}
    log, shelf = CallLog(), Shelf()
    paths = named_modules(model)
    keeper = _Keeper(log, shelf)
    with ExitStack() as stack:
        kept = stack.enter_context(quiet_run(model, paths))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(forwards_wrapped(plain_modules(paths), partial(_watched, keeper=keeper)))
        mode = stack.enter_context(_Places(kept, log))
        try:
            model(*given[0], **given[1])
        except Exception as error:
            raise ExportError(f"the model raised on these inputs ({one_line(error)}): check the inputs") from error
    names = [(log.label_of(number) or (log.path(number),))[0] for number in range(len(log.calls))]
    ports = [Port(names[number], side, value) for number, side, value in keeper.ports]
    spans: dict[str, tuple[int, int]] = {}
    for number, (first, last) in mode.spans.items():
        name = names[number] if number >= 0 else ""
        known = spans.get(name, (first, last))
        spans[name] = min(first, known[0]), max(last, known[1])
    return Recording(shelf, ports, spans, inputs, created_by=created_by())


class _Keeper:
    """Copies what calls take and give, since later operations may write in place."""

    def __init__(self, log: CallLog, shelf: Shelf) -> None:
        self.log, self.shelf = log, shelf
        self.ports: list[tuple[int, Side, int]] = []

    def keep(self, number: int, side: Side, things: object) -> None:
        """Note the tensors among the arguments or results of a call."""
        with structures_known(structures_in(things)), torch.utils._python_dispatch._disable_current_modes():
            for leaf in pytree.tree_leaves(things):
                if isinstance(leaf, torch.Tensor):
                    numbers = _numbers(leaf)
                    if numbers is not None:
                        self.ports.append((number, side, self.shelf.add(numbers)))


def _numbers(tensor: torch.Tensor) -> Values | None:
    """A tensor's floats; None for one that holds none, or not in a plain way."""
    if tensor.layout != torch.strided or tensor.is_quantized or not tensor.is_floating_point() or not tensor.numel():
        return None
    plain = tensor.detach()
    return np.asarray(array_of(plain.float() if plain.dtype is torch.bfloat16 else plain))


def _watched(function: Callable[..., Any], homes: Mapping[int, str], keeper: _Keeper) -> Callable[..., Any]:
    """A forward that keeps what it takes and gives."""
    log = keeper.log

    def watched(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = homes.get(id(self.__dict__))
        if path is None:
            return function(self, *args, **kwargs)
        log.enter(path)
        number = log.running[-1]
        try:
            keeper.keep(number, "in", (args, kwargs))
            out = function(self, *args, **kwargs)
        finally:
            log.leave()
        keeper.keep(number, "out", out)
        return out

    return watched


class _Places(KeepingMode):  # type: ignore[no-untyped-call]
    """Notes the first and the last place in the run of what each call does itself, views left out."""

    def __init__(self, kept: Kept, log: CallLog) -> None:
        super().__init__(kept)
        self.log, self.place = log, 0
        self.spans: dict[int, tuple[int, int]] = {}
        self._views: dict[Any, bool] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note the place, then run the operation."""
        view = self._views.get(func)
        if view is None:
            view = self._views[func] = is_view(func)
        if not view:
            number = self.log.running[-1]
            self.spans[number] = self.spans.get(number, (self.place, 0))[0], self.place
            self.place += 1
        return super().__torch_dispatch__(func, types, args, kwargs)


def with_values(
    model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object], change: Callable[[Values], Values]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """A call with other values in its tensors; bfloat16 is changed as float32.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.
    change : callable
        From the values of a tensor to others of the same shape and type.
    """
    call = flatten_call(model, args, kwargs)
    changed = []
    for tensor in call.tensors:
        plain = tensor.detach().cpu()
        made = torch.from_numpy(np.array(change((plain.float() if plain.dtype is torch.bfloat16 else plain).numpy())))
        changed.append(made.to(tensor.dtype).to(tensor.device))
    return call.rebuild(changed)


def with_arrays(
    model: nn.Module,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    arrays: Mapping[str, Values],
    where: str,
) -> tuple[tuple[object, ...], dict[str, object]]:
    """A call with the values of arrays in those of its tensors that have their names.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.
    arrays : mapping
        Name of a parameter of the forward to values.
    where : str
        What errors call the file of the arrays.

    Raises
    ------
    TaggerError
        If an array has the name of none of its tensors.
    """
    call = flatten_call(model, args, kwargs)
    unknown = next((name for name in arrays if name not in call.names), None)
    if unknown is not None:
        raise TaggerError(
            f"{where}: has an array {unknown!r}, which is none of the model's inputs ({', '.join(call.names)}); "
            "name it as the forward's parameter"
        )
    return call.rebuild(
        [
            torch.from_numpy(np.array(arrays[name])).to(tensor.dtype).to(tensor.device) if name in arrays else tensor
            for name, tensor in zip(call.names, call.tensors, strict=True)
        ]
    )
