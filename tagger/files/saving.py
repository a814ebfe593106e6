"""Saving a model that is in memory, weights and all: to one file, or with the weights beside it where they do not fit.

A file that was only tagged is written by `onnxfile`, which copies its weights; a graph that `retag` changed by `whole`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from itertools import count
from math import prod
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import EncodeError, Message  # type: ignore[import-untyped]

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import contained, insist_on_no_data_file, locations, tensors_of
from onnx_tagger.files.filecopy import Output, permissions_of, replacing
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.files.wire import MAX_MESSAGE
from onnx_tagger.model.arguments import insist_on, path_of

# Tensors above this many bytes go into the data file.
_LARGE = 1024

# What a model may hold besides its weights before it is tried whether it fits.
_ROOM = 1 << 26

_PAYLOADS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def save(model: onnx.ModelProto, path: str | os.PathLike[str], *, external_data: bool | None = None) -> Path:
    """Write a model to a file, whole or not at all; what is there already is replaced.

    Parameters
    ----------
    model : onnx.ModelProto
        With its weights, as `onnx.load` returns it. Where it names data files, they have to lie beside the target.
    path : path
        The file to write.
    external_data : bool, optional
        Whether the weights go into a file of their own beside the model, ``M.onnx.data`` or, where that is taken by an
        earlier one that other models may use, ``M.onnx.1.data`` and so on; by default only those of a model that
        protobuf could not read otherwise, which exceeds 2 GiB.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TaggerError
        If the target cannot be written, the model lacks weights or a data file, or is too large for one file.

    Examples
    --------
    >>> import tempfile
    >>> from onnx import helper
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="act")], "net", [], [])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.load(save(helper.make_model(graph), f"{folder}/net.onnx")).graph.node[0].name
    'act'
    """
    insist_on(model, onnx.ModelProto, "the model", "an onnx.ModelProto, as onnx.load returns it")
    target = path_of(path, "the target")
    permissions_of(target)
    _insist_on_weights(model, target)
    size = sum(map(_size, model.graph.initializer))
    if size > MAX_MESSAGE - _ROOM if external_data is None else external_data:
        _save_apart(model, target)
    else:
        replace_file(target, _serialized(model, target))
    return target


def _insist_on_weights(model: onnx.ModelProto, target: Path) -> None:
    """Raise unless a model holds all of its tensors' values, or they lie beside the target."""
    for tensor in tensors_of(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL and _size(tensor) and not _holds_values(tensor):
            raise TaggerError(
                f"{target}: the values of {tensor.name!r} were left out when the model was read; load it with onnx.load"
            )
    for location in locations(model):
        if not contained(target.resolve().parent, location).is_file():
            raise TaggerError(
                f"{target}: the model has weights in {os.fsdecode(location)!r}, which does not lie beside it; "
                "load the model with its weights (onnx.load), or save it into the folder that it came from"
            )
    insist_on_no_data_file(locations(model), target, target)


def _holds_values(tensor: onnx.TensorProto) -> bool:
    return any(tensor.HasField(name) if name == "raw_data" else len(getattr(tensor, name)) for name in _PAYLOADS)


def _size(tensor: onnx.TensorProto) -> int:
    """Bytes of a tensor's values as they are stored; of packed and of unknown types no less than that."""
    try:
        width = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, ValueError, TypeError):
        width = 16
    return int(prod(tensor.dims)) * max(width, 1)


def _serialized(model: onnx.ModelProto, target: Path) -> bytes:
    try:
        data: bytes = model.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise TaggerError(
            f"{target}: protobuf cannot write the model as one message ({error}); keep its weights apart with "
            "external_data=True, as raw bytes of initializers of the main graph"
        ) from error
    return data


def _save_apart(model: onnx.ModelProto, target: Path) -> None:
    """Write the weights, then the model that names them: it never stands there without them."""
    place = target.resolve()
    data_file = _free_name(place)
    slim = onnx.ModelProto()
    _copy_fields(model, slim, "graph")
    _copy_fields(model.graph, slim.graph, "initializer")
    with ExitStack() as undo:
        with replacing(data_file) as output:
            at = 0
            for tensor in model.graph.initializer:
                at += _put(tensor, slim.graph.initializer.add(), output, data_file.name, at)
        undo.callback(data_file.unlink, missing_ok=True)
        replace_file(place, _serialized(slim, target))
        undo.pop_all()


def _free_name(model: Path) -> Path:
    """A data file that is not there yet: an earlier one may be another model's, too."""
    names = (model.with_name(f"{model.name}{f'.{number}' if number else ''}.data") for number in count())
    return next(path for path in names if not os.path.lexists(path))


def _put(tensor: onnx.TensorProto, slim: onnx.TensorProto, output: Output, name: str, at: int) -> int:
    """Put a tensor into a slim model, its values into the data file if they are many, and return how many bytes."""
    if not tensor.HasField("raw_data") or tensor.data_location == onnx.TensorProto.EXTERNAL or _size(tensor) <= _LARGE:
        slim.CopyFrom(tensor)
        return 0
    _copy_fields(tensor, slim, "raw_data")
    values = tensor.raw_data
    output.write(values)
    slim.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", str(at)), ("length", str(len(values)))):
        slim.external_data.add(key=key, value=value)
    return len(values)


def _copy_fields(source: Message, target: Message, left_out: str) -> None:
    """Copy all fields of a message but one, which may be too large to be copied for nothing."""
    for field, value in source.ListFields():
        here: Any = getattr(target, field.name)
        if field.name == left_out:
            continue
        if isinstance(value, Message):
            here.CopyFrom(value)
        elif hasattr(here, "extend"):
            here.extend(value)
        else:
            setattr(target, field.name, value)
