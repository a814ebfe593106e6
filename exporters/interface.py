"""The inputs and outputs of an exported file: names that the user sets, dimensions left open, and which input is which.

A file that torch's dynamo exporter wrote says itself how an input or output was called before it was renamed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import torch
from torch import nn
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.base import Request, insist_on_names
from onnx_tagger.exporters.torchscript.flatcall import (
    bound_arguments,
    bound_names,
    flatten_call,
    parameters_of,
    structures_in,
    structures_known,
)
from onnx_tagger.files.onnxfile import read_skeleton

# Where torch's dynamo exporter keeps the name that an input or output had before it was renamed.
ORIGINAL = "pkg.torch.onnx.original_node_name"

_HINTS = (torch.export.Dim.AUTO, torch.export.Dim.DYNAMIC)


def own_name(value: ir.Value) -> str:
    """The name that torch gave to a tensor itself, before the user's was put on it."""
    return value.metadata_props.get(ORIGINAL) or value.name or ""


def make_room(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give another name to inner tensors that bear one that the user has chosen, which torch leaves as they are.

    Parameters
    ----------
    model : onnx_ir.Model
        With the chosen names on its inputs and outputs.
    inputs, outputs : sequence of str
        The chosen names.

    Raises
    ------
    TaggerError
        If a name cannot be the file's: a weight bears it, both an input and an output are to have it, or there are more
        names than inputs or outputs.
    """
    graph = model.graph
    insist_on_names(inputs, [value.name or "" for value in graph.inputs], "input")
    insist_on_names(outputs, [value.name or "" for value in graph.outputs], "output")
    chosen = {*inputs, *outputs}
    if not chosen:
        return
    ends = {*graph.inputs, *graph.outputs}
    inner = [value for node in ir.traversal.RecursiveGraphIterator(graph) for value in node.outputs]
    taken = {value.name for value in (*inner, *ends, *graph.initializers.values())}
    weight = next((v.name for v in graph.initializers.values() if v.name in chosen and v not in ends), None)
    if weight is not None:
        raise TaggerError(f"the name {weight!r} is that of a weight; choose another one for the input or output")
    names = [value.name for value in ends]
    twice = next((name for name in names if name in chosen and names.count(name) > 1), None)
    if twice is not None:
        raise TaggerError(f"the name {twice!r} would be that of two inputs or outputs; choose another one")
    for value in inner:
        if value.name in chosen and value not in ends:
            value.metadata_props[ORIGINAL] = value.name
            value.name = next(name for i in itertools.count(1) if (name := f"{value.name}_{i}") not in taken)
            taken.add(value.name)


def shapes_by_name(request: Request) -> Mapping[str, Any] | Sequence[Any] | None:
    """The dynamic shapes that were asked for; what is said of ``**kwargs`` as one stands under the name of each."""
    shapes = request.dynamic_shapes
    held = next((n for n, p in parameters_of(request.model).items() if p.kind is p.VAR_KEYWORD), None)
    if held is None or not isinstance(shapes, Mapping) or not isinstance(shapes.get(held), Mapping):
        return shapes
    return {**{name: spec for name, spec in shapes.items() if name != held}, **shapes[held]}


def without_names(shapes: Any) -> Any:
    """Dynamic shapes as `torch.export.export` takes them: it knows no names of dimensions, only objects for them."""
    return pytree.tree_map(lambda leaf: torch.export.Dim.DYNAMIC if isinstance(leaf, str) else leaf, shapes)


def open_axes(request: Request) -> dict[str, dict[int, str]]:
    """The dimensions that are left open, as the TorchScript exporter takes them: input to axis to name.

    Parameters
    ----------
    request : Request

    Raises
    ------
    ExportError
        If a dimension depends on another one, which that exporter cannot express, or the shapes do not fit the inputs.
    """
    names = input_names_of(request.model, request.args, request.kwargs, request.input_names)
    tensors = flatten_call(request.model, request.args, request.kwargs).tensors
    if request.dynamic:
        return {n: {i: f"{n}_{i}" for i in range(t.ndim)} for n, t in zip(names, tensors, strict=True)}
    if request.dynamic_shapes is None:
        return {}
    specs = _specs(request)
    found: dict[str, dict[int, str]] = {}
    for name, spec in zip(names, specs, strict=True):
        axes = spec if isinstance(spec, Mapping) else dict(enumerate(spec or ()))
        named = {axis: said for axis, dim in axes.items() if (said := _dim_name(dim, name, axis)) is not None}
        if named:
            found[name] = named
    return found


def input_names_of(
    model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object], chosen: Sequence[str]
) -> list[str]:
    """The names of a call's tensors: the chosen ones, then those by which the call gives them."""
    names = flatten_call(model, args, kwargs).names
    return [*chosen[: len(names)], *names[len(chosen) :]]


def feeds_of(
    path: str | os.PathLike[str],
    model: nn.Module,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    input_names: Sequence[str] = (),
) -> dict[str, npt.NDArray[Any]]:
    """The call's tensors under the file's input names: by name where the names agree, else by position.

    Parameters
    ----------
    path : path
        An exported file; other tools may have changed it.
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.
    input_names : sequence of str
        The names that were chosen at export.
    """
    call = flatten_call(model, args, kwargs)
    graph = read_skeleton(path).model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: _original(value) for value in graph.input if value.name not in stored}
    told = any(name != original for name, original in inputs.items())
    own = call.names if told else input_names_of(model, args, kwargs, input_names)
    by_name = dict(zip(own, call.tensors, strict=True))
    if not set(inputs.values()) <= set(by_name):
        by_name = dict(zip(inputs.values(), call.tensors, strict=False))
    return {name: array_of(by_name[original]) for name, original in inputs.items() if original in by_name}


def array_of(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor's values in numpy, whatever device they are on; bfloat16 as the type that onnx has for it."""
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.dtype is torch.bfloat16:
        halves: npt.NDArray[Any] = plain.contiguous().view(torch.int16).numpy()
        return halves.view(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16))
    return np.asarray(plain.numpy())


def _original(value: onnx.ValueInfoProto) -> str:
    return next((entry.value for entry in value.metadata_props if entry.key == ORIGINAL), value.name)


def _specs(request: Request) -> list[Any]:
    """For each tensor of the call what is said of its dimensions."""
    shapes = shapes_by_name(request)
    assert shapes is not None
    bound = bound_arguments(request.model, request.args, request.kwargs)
    if not isinstance(shapes, Mapping):
        shapes = dict(zip(bound, shapes, strict=False))
    rest = next((n for n, p in parameters_of(request.model).items() if p.kind is p.VAR_POSITIONAL), None)
    names = bound_names(request.model, request.args, request.kwargs)
    if rest is not None and shapes.get(rest) is not None:
        # What is said of `*args` is said of the last arguments by position.
        at = len(request.args) - len(bound.get(rest, ()))
        shapes = {**shapes, **{names[at + i]: spec for i, spec in enumerate(shapes[rest])}}
    unknown = next((name for name in shapes if name not in (*names, *bound)), None)
    if unknown is not None:
        raise ExportError(
            f"the dynamic shapes name {unknown!r}, which is none of the inputs ({', '.join(names)}); give one of those"
        )
    values = (*request.args, *request.kwargs.values())
    with structures_known(structures_in(values)):
        pairs = zip(names, values, strict=True)
        return [spec for name, value in pairs for spec in _specs_in(value, shapes.get(name), name)]


def _specs_in(value: object, spec: Any, name: str) -> Iterator[Any]:
    """What is said of each tensor in an input; of an object that torch takes apart, in a list by position."""
    if isinstance(value, torch.Tensor):
        yield spec
        return
    known = pytree.SUPPORTED_NODES.get(pytree._get_node_type(value))
    if known is None:
        return
    children, _ = known.flatten_fn(value)
    if spec is not None and not _fits(value, spec, len(children)):
        raise ExportError(f"the dynamic shapes of {name!r} have another structure than the input")
    said = [None] * len(children)
    if isinstance(spec, Mapping):
        assert isinstance(value, Mapping)
        said = [spec[key] for key in value]
    elif spec is not None:
        said = list(spec)
    for child, its in zip(children, said, strict=True):
        yield from _specs_in(child, its, name)


def _fits(value: object, spec: object, size: int) -> bool:
    """Whether what is said of an input has its structure: the same keys, or as many places."""
    if isinstance(spec, Mapping):
        return isinstance(value, Mapping) and set(spec) == set(value)
    return isinstance(spec, (list, tuple)) and len(spec) == size


def _dim_name(dim: Any, name: str, axis: int) -> str | None:
    """The name of an open dimension; None for one that stays closed."""
    if dim is None or isinstance(dim, int) or dim is torch.export.Dim.STATIC:
        return None
    if isinstance(dim, str):
        return dim
    if dim in _HINTS or type(dim).__name__ == "_DimHint":
        return f"{name}_{axis}"
    if hasattr(dim, "root"):
        raise ExportError(
            f"dimension {axis} of {name!r} depends on another one ({dim.__name__}), which the TorchScript exporter "
            "cannot express; leave it open by a name, or take the strategy fx"
        )
    return str(dim.__name__)
