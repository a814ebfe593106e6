"""The module-usage map: which modules a model has, which of them run and how often, and what they hold.

It is made in a run of its own, never in one during an export; how that is watched is `recording`'s.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from onnx_tagger.errors import ExportError, one_line
from onnx_tagger.exporters.recording.dispatched import WorkMode
from onnx_tagger.exporters.recording.recording import CallLog, has_forward, named_modules, quiet_run, recorded
from onnx_tagger.exporters.torchscript.flatcall import structures_in
from onnx_tagger.hierarchy.digest import all_digests
from onnx_tagger.hierarchy.map import HierarchyMap, Module, Parameter
from onnx_tagger.hierarchy.naming import ModuleRow, class_paths, parent_path
from onnx_tagger.hierarchy.sketch import sketch_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.version import version

# A child of one of these carries its key in its tag.
_KEYED = (nn.ModuleList, nn.ModuleDict, nn.Sequential)

# Bit patterns of types that numpy lacks.
_AS_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Captured:
    """The module-usage map of a model and the calls that it was made of.

    Attributes
    ----------
    hierarchy : HierarchyMap
    calls : CallLog
    structures : tuple of type
        Dataclasses among what the model took and returned, which torch has to be told of.
    """

    hierarchy: HierarchyMap
    calls: CallLog
    structures: tuple[type, ...] = ()


def capture(
    model: nn.Module,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    digests: bool = True,
) -> Captured:
    """Run a model once and record its module-usage map.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it was, also if it raises: attributes, buffers, training mode and random state.
    args, kwargs
        What its `forward` takes.
    digests : bool
        Whether parameters and buffers are recorded with digests of their values.

    Returns
    -------
    Captured

    Raises
    ------
    ExportError
        If the model raises on these inputs, or its own modules are gone.
    MapError
        If two modules have one path.
    """
    check_source(model)
    names = list(model.named_modules(remove_duplicate=False))
    paths: dict[nn.Module, str] = {}
    for path, module in names:
        paths.setdefault(module, path)
    log = CallLog()
    # The run must not use up what the export is to get: caches given as inputs are filled in place.
    try:
        args, kwargs = copy.deepcopy((tuple(args), dict(kwargs or {})))
    except (TypeError, RuntimeError):
        args, kwargs = tuple(args), dict(kwargs or {})
    # Control flow compiles its branches, where calls cannot be noted; here they run as they are written.
    with quiet_run(model, paths) as kept, torch.compiler.set_stance("force_eager"), recorded(paths, log):
        mode = WorkMode(log, paths, kept)
        try:
            with mode:
                result = model(*args, **kwargs)
        except Exception as error:
            raise ExportError(f"the model raised on these inputs ({one_line(error)}): check the inputs") from error
    with collector_paused():
        mode.settle()
        trace = tuple(log.operations())
        hierarchy = HierarchyMap(_modules(names, paths, log), created_by=created_by(), trace=trace)
        captured = Captured(hierarchy, log, tuple(structures_in((args, kwargs, result))))
    return with_parameters(captured, model) if digests else captured


def check_source(model: nn.Module) -> None:
    """Refuse a model whose own modules are gone.

    Raises
    ------
    ExportError
        If it is compiled by `torch.jit` or was made of an `ExportedProgram`.
    """
    if isinstance(model, torch.jit.ScriptModule):
        what = "was compiled by torch.jit, by which the code of its modules is gone"
    elif isinstance(model, torch.fx.GraphModule) and "eval" in vars(model):
        # torch.export's own modules are told from others by this alone: they can be neither trained nor evaluated.
        what = "is what torch.export made of one, a graph without modules"
    else:
        return
    raise ExportError(f"the model ({type(model).__name__}) {what}: export the module that it was made of")


def with_parameters(captured: Captured, model: nn.Module) -> Captured:
    """The same with the model's parameters and buffers and the digests of their values, which reads all of them."""
    return replace(captured, hierarchy=replace(captured.hierarchy, parameters=_parameters(model)))


def created_by() -> str:
    """Name and versions that are written into a map."""
    return f"onnx-tagger {version()}, torch {torch.__version__.partition('+')[0]}"


def direct_modules(model: nn.Module, log: CallLog) -> dict[str, nn.Module]:
    """The modules whose `forward` was called by itself, but for the root, which nothing in the model calls."""
    return {path: module for path, module in model.named_modules() if path and path in log.direct}


def class_name(module: nn.Module) -> str:
    """Name of a module's class; of a compiled module, that of the class it was compiled from."""
    original = getattr(module, "original_name", None) if isinstance(module, torch.jit.ScriptModule) else None
    return original if isinstance(original, str) and original else type(module).__name__


def module_rows(model: nn.Module) -> list[ModuleRow]:
    """What naming needs of each module, in the order of `named_modules`."""
    return _rows(named_modules(model))


def _rows(paths: Mapping[nn.Module, str]) -> list[ModuleRow]:
    kinds: dict[type, tuple[str | None, bool]] = {}
    rows = []
    for module, path in paths.items():
        kind = kinds.get(type(module))
        if kind is None:
            compiled = isinstance(module, torch.jit.ScriptModule)
            kind = kinds[type(module)] = None if compiled else type(module).__name__, isinstance(module, _KEYED)
        name, keyed = kind
        rows.append(ModuleRow(path, name if name is not None else class_name(module), has_forward(module), keyed))
    return rows


def _modules(
    names: Sequence[tuple[str, nn.Module]], paths: Mapping[nn.Module, str], log: CallLog
) -> tuple[Module, ...]:
    """What happened to each module; `names` are all that `named_modules` gives, `paths` the canonical ones."""
    rows = _rows(paths)
    tags = class_paths(rows)
    counts = log.counts()
    order = {path: place for place, path in enumerate(counts)}
    aliases: dict[str, list[str]] = defaultdict(list)
    for name, module in names:
        if name != paths[module]:
            aliases[paths[module]].append(name)
    return tuple(
        Module(
            row.path,
            row.class_name,
            tags[row.path],
            parent_path(row.path) if row.path else None,
            order.get(row.path),
            counts.get(row.path, 0),
            tuple(aliases.get(row.path, ())),
        )
        for row in rows
    )


def _parameters(model: nn.Module) -> tuple[Parameter, ...]:
    """Parameters and buffers with what tells their values; a tied one once for each module that holds it."""
    held = [
        (f"{path}.{name}" if path else name, path, tensor)
        for module, path in named_modules(model).items()
        for name, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None
    ]
    distinct = {id(tensor): tensor for _, _, tensor in held}
    sketches: list[str] = []

    def arrays() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]]:
        for tensor in distinct.values():
            stored, numbers = _arrays(tensor)
            shaped = (stored if numbers is None else numbers).reshape(tensor.shape)
            sketches.append(sketch_of(shaped))
            yield stored, numbers

    digests = list(all_digests(arrays()))
    told = dict(zip(distinct, zip(digests, sketches, strict=True), strict=True))
    return tuple(
        Parameter(name, owner, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), *told[id(tensor)])
        for name, owner, tensor in held
    )


def _arrays(tensor: torch.Tensor) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """A tensor's values as numpy has them; of a type that numpy lacks, the bit patterns and the values as float16."""
    dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    if dense.device.type == "meta":
        raise ExportError("the model has parameters without values (device 'meta'): materialise it first")
    if dense.is_quantized:
        dense = dense.int_repr()
    dense = dense.cpu().contiguous()
    try:
        return np.asarray(dense.numpy()), None
    except TypeError:
        bits: npt.NDArray[Any] = dense.view(_AS_BITS[dense.element_size()]).numpy()
        return bits, dense.to(torch.float16).numpy()
