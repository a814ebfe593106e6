"""The values of a model's stored tensors, whole or a few rows at a time, from the model or its data files.

Where tensors lie is known from the skeleton, which has none of their values; see `onnx_tagger.files.onnxfile`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.onnxfile import Skeleton
from onnx_tagger.files.pruning import prune
from onnx_tagger.files.sources import data_file, insist_on_content, open_place
from onnx_tagger.files.splice import parse
from onnx_tagger.files.wire import Reader, Window, broken, fields
from onnx_tagger.model.limits import input_limits
from onnx_tagger.model.urls import Place, Url

Values = npt.NDArray[Any]

# Bytes that are read of a tensor at a time.
BLOCK = 1 << 20

_T = onnx.TensorProto

# Types whose values raw data hold one after the other, as numpy does on a machine that has the low byte first.
_PLAIN = frozenset(
    {_T.FLOAT, _T.DOUBLE, _T.FLOAT16, _T.BFLOAT16, _T.INT8, _T.UINT8, _T.INT16, _T.UINT16, _T.INT32, _T.UINT32}
    | {_T.INT64, _T.UINT64}
)


def read_initializer(skeleton: Skeleton, name: str) -> npt.NDArray[np.generic]:
    """Read one initializer's values from the source.

    Parameters
    ----------
    skeleton : Skeleton
        What `read_skeleton` returned.
    name : str
        Name of an initializer of the main graph.

    Returns
    -------
    numpy.ndarray
        Its values, as `onnx.numpy_helper.to_array` gives them.

    Raises
    ------
    TaggerError
        If there is no such initializer, or its external data is missing, too short or outside the model's folder.
    FileFormatError
        If the values do not fit the shape and type.
    """
    with skeleton.opened() as reader:
        window = Window(reader)
        value, end = _place(skeleton, window, name)
        tensor = _whole_tensor(window, value, end)
        try:
            if tensor.data_location == _T.EXTERNAL:
                tensor.raw_data = _external_values(skeleton, tensor)
                tensor.data_location = _T.DEFAULT
                del tensor.external_data[:]
            values: npt.NDArray[np.generic] = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise _unfit(reader, value, name, error) from error
        return values


def read_blocks(skeleton: Skeleton, name: str, size: int = BLOCK) -> Iterator[Values]:
    """Read one initializer's values some rows at a time, so that memory does not grow with it.

    Parameters
    ----------
    skeleton : Skeleton
        What `read_skeleton` returned.
    name : str
        Name of an initializer of the main graph.
    size : int
        Bytes to hold at a time; a block has one row at least.

    Yields
    ------
    numpy.ndarray
        Rows of the first dimension that is longer than one, in order; dimensions of one before it are left out. A
        tensor of one value, or whose values do not lie one after the other, is yielded whole.

    Raises
    ------
    TaggerError, FileFormatError
        As `read_initializer`.
    """
    with skeleton.opened() as reader:
        window = Window(reader)
        value, end = _place(skeleton, window, name)
        tensor = _parsed(window, prune(window, wire.TENSOR, value, end), value)
        shape = without_ones(tensor.dims)
        plain = tensor.data_type in _PLAIN and np.little_endian and shape
        with _opened_payload(skeleton, tensor, window, value, end) if plain else _nothing() as payload:
            if payload is not None:
                yield from _rows(*payload, shape, tensor, size)
                return
    values = read_initializer(skeleton, name)
    yield values.reshape(shape)


def _rows(
    data: Reader, at: int, length: int, shape: tuple[int, ...], tensor: onnx.TensorProto, size: int
) -> Iterator[Values]:
    """Blocks of rows of values that lie one after the other."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    row = prod(shape[1:]) * dtype.itemsize
    if length != shape[0] * row:
        raise _unfit(data, at, tensor.name, f"{length} bytes for the shape {list(tensor.dims)}")
    count = max(1, size // max(1, row))
    for start in range(0, shape[0], count):
        rows = min(count, shape[0] - start)
        found = data.read_at(at + start * row, rows * row)
        if len(found) != rows * row:
            raise TaggerError(f"{data.name} ends before the values of {tensor.name!r}; copy the file again")
        yield np.frombuffer(found, dtype).reshape(rows, *shape[1:])


def without_ones(dims: Iterable[int]) -> tuple[int, ...]:
    """A shape from its first dimension on that is longer than one."""
    shape = tuple(dims)
    first = next((at for at, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def _opened_payload(
    skeleton: Skeleton, tensor: onnx.TensorProto, window: Window, value: int, end: int
) -> Iterator[tuple[Reader, int, int] | None]:
    """What holds a tensor's raw data, from where and how many bytes; None if they are stored otherwise."""
    if tensor.data_location == _T.EXTERNAL:
        with _opened_external(skeleton, tensor) as found:
            yield found
        return
    payload = [found for found in fields(window, value, end) if found[0] in wire.TENSOR.payload]
    raw = len(payload) == 1 and payload[0][:2] == (wire.RAW_DATA_OF_TENSOR, wire.LENGTH)
    yield (window.reader, payload[0][4], payload[0][5] - payload[0][4]) if raw else None


def _place(skeleton: Skeleton, window: Window, name: str) -> tuple[int, int]:
    """Where an initializer's message begins and ends."""
    spans = skeleton.layout.initializers
    if skeleton.initializers is None:
        # The skeleton has the names in order; somebody may have changed them there since, so they are looked at below.
        named = enumerate(skeleton.model.graph.initializer)
        skeleton.initializers = {tensor.name: 3 * at for at, tensor in reversed(list(named))}
    at = skeleton.initializers.get(name)
    if at is None or at + 3 > len(spans) or _name(window, spans[at + 1], spans[at + 2]) != name:
        skeleton.initializers = _initializer_index(window, spans)
        at = skeleton.initializers.get(name)
    if at is None:
        raise TaggerError(f"{window.reader.name} has no initializer {name!r} in its main graph; check the name")
    return spans[at + 1], spans[at + 2]


def _initializer_index(window: Window, spans: array[int]) -> dict[str | bytes, int]:
    """Map the name of each initializer to its place in the layout; of equal names the first one counts."""
    index: dict[str | bytes, int] = {}
    for at in range(0, len(spans), 3):
        index.setdefault(_name(window, spans[at + 1], spans[at + 2]), at)
    return index


def _name(window: Window, value: int, end: int) -> str | bytes:
    """The name in a tensor's message; the last one counts, as for every parser."""
    name = b""
    for number, kind, _, _, start, stop in fields(window, value, end):
        if number == wire.NAME_OF_TENSOR and kind == wire.LENGTH:
            name = window.read(start, stop)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def _parsed(window: Window, data: bytes, at: int) -> onnx.TensorProto:
    tensor: onnx.TensorProto = parse(onnx.TensorProto.FromString, data, window.reader, at)
    return tensor


def _whole_tensor(window: Window, value: int, end: int) -> onnx.TensorProto:
    """Parse a tensor with its values; raw values do not go through the parser, which stops at 2 GiB."""
    _insist_on_readable(window.reader, value, end - value)
    payload = [found for found in fields(window, value, end) if found[0] in wire.TENSOR.payload]
    if len(payload) == 1 and payload[0][:2] == (wire.RAW_DATA_OF_TENSOR, wire.LENGTH):
        tensor = _parsed(window, prune(window, wire.TENSOR, value, end), value)
        tensor.raw_data = window.reader.read_at(payload[0][4], payload[0][5] - payload[0][4])
        return tensor
    if end - value > wire.MAX_MESSAGE:
        raise broken(window.reader, value, "a tensor exceeds 2 GiB")
    return _parsed(window, window.read(value, end), value)


def _external_values(skeleton: Skeleton, tensor: onnx.TensorProto) -> bytes:
    """Read a tensor's values from its data file."""
    with _opened_external(skeleton, tensor) as (data, offset, length):
        _insist_on_readable(data, offset, length)
        return data.read_at(offset, length)


@contextmanager
def _opened_external(skeleton: Skeleton, tensor: onnx.TensorProto) -> Iterator[tuple[Reader, int, int]]:
    """A tensor's data file, with the place and size of its values there."""
    if skeleton.place is None:
        raise TaggerError(
            f"{tensor.name!r} has external data, which a model in memory cannot find; read it from its file"
        )
    entries = {entry.key: entry.value for entry in tensor.external_data}
    with _opened_data(skeleton, skeleton.place, entries.get("location", "")) as data:
        insist_on_content(data)
        try:
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", data.size - offset))
        except ValueError as error:
            raise TaggerError(
                f"the place of {tensor.name!r} in {data.name} is no number; save the model again"
            ) from error
        if offset < 0 or length < 0 or offset + length > data.size:
            raise TaggerError(f"{data.name} ends before the values of {tensor.name!r}; copy the data file again")
        yield data, offset, length


@contextmanager
def _opened_data(skeleton: Skeleton, model: Place, location: str) -> Iterator[Reader]:
    """Open a model's data file; one that lies elsewhere only once."""
    if location in skeleton.data:
        yield skeleton.data[location]
        return
    with open_place(data_file(model, location)) as data:
        if isinstance(model, Url):
            skeleton.data[location] = data
        yield data


def _unfit(reader: Reader, at: int, name: str, why: object) -> TaggerError:
    return broken(reader, at, f"the values of {name!r} do not fit its shape and type ({why})")


def _insist_on_readable(reader: Reader, at: int, length: int) -> None:
    most = input_limits().tensor_bytes
    if length > most:
        raise wire.too_much(reader, at, f"a tensor's values take more than {most} bytes", "tensor_bytes")
