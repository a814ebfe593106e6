"""Protobuf's wire format as far as an ONNX file needs it: varints, and the fields of messages.

Here live the readers of a source (a file or bytes) and the walk over a message's fields by their length prefixes.
Nothing here parses a message into objects and nothing writes: `onnxfile` does the first, `splice` plans the second.
What is left of a message once the payloads are stepped over is collected in `pruning`.

Reference: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.model.limits import advice
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.urls import was_url

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

MAX_MESSAGE = 2**31 - 1
"""The largest message, in bytes, that protobuf parses."""

_MAX_VARINT = 10
_MAX_LENGTH_WIDTH = 5  # readers refuse wider length prefixes
_HEADER = 2 * _MAX_VARINT  # the most that a tag and a length take
_FIRST_WINDOW = 4096
_LARGEST_WINDOW = 1 << 16

Field = tuple[int, int, int, int, int, int]
"""number, wire type, and the offsets of the tag, of the length (or value), of the value, and of the value's end."""


@dataclass(frozen=True)
class Message:
    """What a walk has to know of one message type.

    Parameters
    ----------
    name : str
        The type's name in onnx.proto.
    children : Mapping[int, Message]
        The fields that a walk descends into, by number, with their types.
    payload : frozenset[int]
        The fields that a skeleton leaves out.
    texts : frozenset[int]
        The fields whose length is limited: names, and a node's metadata.
    """

    name: str
    children: Mapping[int, Message] = field(default_factory=dict, repr=False, compare=False)
    payload: frozenset[int] = frozenset()
    texts: frozenset[int] = frozenset()

    __repr__ = brief_fields


def _schema() -> tuple[Message, Message, Message, Message]:
    """Return tensor, graph, node and function; graphs and nodes hold each other, so one map is filled last."""
    tensor = Message("TensorProto", payload=frozenset({4, 5, 6, 7, 9, 10, 11}), texts=frozenset({8}))
    sparse = Message("SparseTensorProto", {1: tensor, 2: tensor})
    in_attribute: dict[int, Message] = {5: tensor, 10: tensor, 22: sparse, 23: sparse}
    attribute = Message("AttributeProto", in_attribute, texts=frozenset({1, 21}))
    node = Message("NodeProto", {5: attribute}, texts=frozenset({1, 2, 3, 4, 6, 7, 8, 9}))
    graph = Message("GraphProto", {1: node, 5: tensor, 15: sparse}, texts=frozenset({2, 11, 12, 13}))
    in_attribute.update({6: graph, 11: graph})
    function = Message("FunctionProto", {7: node, 11: attribute}, texts=frozenset({1, 4, 5, 6, 10, 12, 13}))
    return tensor, graph, node, function


TENSOR, GRAPH, NODE, FUNCTION = _schema()
MODEL = Message("ModelProto", {7: GRAPH, 20: Message("TrainingInfoProto", {1: GRAPH, 2: GRAPH}), 25: FUNCTION})

METADATA_OF_MODEL, NODE_OF_GRAPH, INITIALIZER_OF_GRAPH, NODE_OF_FUNCTION = 14, 1, 5, 7
GRAPH_OF_MODEL, FUNCTION_OF_MODEL = 7, 25
ATTRIBUTE_OF_NODE, DOC_STRING_OF_NODE, METADATA_OF_NODE = 5, 6, 9
GRAPH_OF_ATTRIBUTE, GRAPHS_OF_ATTRIBUTE = 6, 11
NAME_OF_TENSOR, RAW_DATA_OF_TENSOR = 8, 9


class Reader(ABC):
    """Random access to the bytes of a source; `name` is what error messages call it."""

    name: str
    size: int
    stride: int = 0
    """Bytes that are best read at once where there are many; 0 where that does not matter."""

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only where the source ends."""

    def confirm(self) -> None:  # noqa: B027 - most sources cannot change, or say so when they are read
        """Raise if the source was changed since it was opened, where reading itself does not show it."""


class MemoryReader(Reader):
    """The bytes of a model that is in memory."""

    def __init__(self, view: memoryview, name: str = "the given bytes") -> None:
        self.name = name
        self.view = view
        self.size = len(view)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return a copy of the bytes."""
        return bytes(self.view[offset : offset + length])

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes from `start` to `stop`, where they lie."""
        yield self.view[start:stop]


class StreamReader(Reader):
    """An open binary stream that can seek, such as a file object or a member of an archive.

    Raises
    ------
    TaggerError
        If it is no such stream.
    """

    def __init__(self, stream: BinaryIO) -> None:
        try:
            self.size = stream.seek(0, os.SEEK_END)
        except (AttributeError, TypeError, ValueError, OSError) as error:
            raise TaggerError(
                f"{type(stream).__name__}: is no model that can be read ({error}); "
                "give a path, bytes, a ModelProto, or a binary stream that can seek"
            ) from None
        self.stream = stream
        self.name = str(getattr(stream, "name", "the given stream"))

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the stream, which may give them in pieces."""
        self.stream.seek(offset)
        found = bytearray()
        while len(found) < length:
            piece = self.stream.read(length - len(found))
            if not isinstance(piece, bytes):
                raise TaggerError(f"{self.name}: is a stream of text; open it in binary mode")
            if not piece:
                break
            found += piece
        return bytes(found)


def _seek_and_read(descriptor: int, length: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)


_pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)  # Windows has no pread


class FileReader(Reader):
    """An open regular file, read with pread so that nobody's position moves."""

    def __init__(self, descriptor: int, name: str, identity: tuple[int, ...], size: int) -> None:
        self.name = name
        self.size = size
        self.identity = identity
        self.descriptor = descriptor

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the file's bytes; a file that became shorter is an error."""
        length = max(0, min(length, self.size - offset))
        try:
            data = _pread(self.descriptor, length, offset)
            if len(data) == length:
                return data
            parts = [data]  # pread stops early at about 2 GiB and on some network file systems
            got = len(data)
            while data and got < length:
                data = _pread(self.descriptor, length - got, offset + got)
                parts.append(data)
                got += len(data)
        except OSError as error:
            raise TaggerError(
                f"{self.name} cannot be read at byte {offset}: {error.strerror}; check the disk"
            ) from error
        if got < length:
            raise TaggerError(f"{self.name} became shorter while it was read; wait until nobody writes it, then retry")
        return b"".join(parts)


@contextmanager
def open_file(path: str | os.PathLike[str], name: str | None = None) -> Iterator[FileReader]:
    """Open a regular file for reading.

    Parameters
    ----------
    path : str or os.PathLike[str]
        The file.
    name : str, optional
        What error messages call it; the path by default.

    Yields
    ------
    FileReader
        Valid inside the `with` block.

    Raises
    ------
    FileFormatError
        If there is no such file, it is not a regular one, or it may not be read.
    """
    name = os.fspath(path) if name is None else name
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for its writer for ever.
        flags = sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
        descriptor = os.open(path, os.O_RDONLY | flags)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        missing = isinstance(error, FileNotFoundError)
        if missing and was_url(path):
            raise FileFormatError(
                f"{name!s} is a URL, which is not read here; download it and give its path"
            ) from error
        advice = advice_on_missing(Path(path)) if missing else ""
        raise FileFormatError(
            f"{name!s} cannot be opened: {reason}; {advice or 'give the path of a readable file'}"
        ) from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise FileFormatError(f"{name} is a directory; give the path of a file in it")
        if not stat.S_ISREG(status.st_mode):
            raise FileFormatError(f"{name} is not a regular file; give the path of one")
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        yield FileReader(descriptor, name, identity, status.st_size)
    finally:
        os.close(descriptor)


class Window:
    """A stretch of a source held in memory, which moves as a walk goes on.

    It starts small after each jump, so that stepping over a payload costs one short read, and grows while the walk
    stays sequential. At the end of the source it is padded with zeros: a header can be decoded without looking at
    the window's end, and the check of the field's end finds what lies beyond.
    """

    __slots__ = ("_span", "base", "buffer", "reader")

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.base = 0
        self.buffer = b""
        self._span = _FIRST_WINDOW

    def load(self, offset: int) -> None:
        """Move the window so that it starts at `offset` and holds at least one header."""
        # A walk that steps over what it keeps (a node) is sequential, too; one that steps over a payload jumps farther.
        sequential = self.base <= offset <= self.base + 2 * len(self.buffer)
        self._span = min(self._span * 4, _LARGEST_WINDOW) if sequential else _FIRST_WINDOW
        data = self.reader.read_at(offset, self._span)
        self.buffer = data if len(data) == self._span else data + bytes(_HEADER)
        self.base = offset

    def read(self, start: int, stop: int) -> bytes:
        """Return the source's bytes from `start` to `stop`."""
        low = start - self.base
        if low >= 0 and stop - self.base <= len(self.buffer):
            return self.buffer[low : stop - self.base]
        if stop - start > _LARGEST_WINDOW // 2:
            return self.reader.read_at(start, stop - start)
        self.load(start)
        low = start - self.base
        if stop - self.base > len(self.buffer):
            return self.reader.read_at(start, stop - start)
        return self.buffer[low : stop - self.base]


def broken(reader: Reader, offset: int, what: str) -> FileFormatError:
    """Return the error for a source that is damaged at `offset`; `what` is a clause such as "the tag is zero"."""
    return FileFormatError(f"{reader.name} is no ONNX model or is damaged: at byte {offset} {what}; export it again")


def too_much(reader: Reader, offset: int, what: str, limit: str) -> FileFormatError:
    """Return the error for a source that exceeds a limit at `offset`; `what` is a clause, `limit` the limit's name."""
    return FileFormatError(f"{reader.name} exceeds what is allowed: at byte {offset} {what}; {advice(limit)}")


def _varint(window: Window, index: int) -> tuple[int, int]:
    """Decode the varint at `index` of the window's buffer; return its value and the index behind it."""
    buffer = window.buffer
    value = shift = 0
    for at in range(index, index + _MAX_VARINT):
        byte = buffer[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise broken(window.reader, window.base + index, "a number takes more than ten bytes")


def varint(value: int, width: int = 1) -> bytes:
    """Encode a number as a varint of at least `width` bytes.

    Parameters
    ----------
    value : int
        A number of 0 or more.
    width : int
        Bytes to take; a value that needs more takes more.

    Returns
    -------
    bytes
        The varint; beyond its minimal width it is filled up with continuation bytes, which every reader accepts.

    Examples
    --------
    >>> varint(300).hex(), varint(1, width=3).hex()
    ('ac02', '818000')
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    if len(out) < width:
        out[-1] |= 0x80
        out += b"\x80" * (width - len(out) - 1) + b"\x00"
    return bytes(out)


_SHORT = tuple(varint(value) for value in range(1 << 11))


def length_prefix(length: int, old_length: int = 0, old_width: int = 1) -> bytes:
    """Return the length prefix of a message whose length changed, as much wider than needed as the old one was.

    Keeping the excess is what makes a later change back to the old length give the old bytes. The width stops at the
    five bytes that readers accept.
    """
    needed = 1 if length < 0x80 else (length.bit_length() + 6) // 7
    excess = old_width - max(1, (old_length.bit_length() + 6) // 7)
    if excess <= 0:
        return _SHORT[length] if length < len(_SHORT) else varint(length)
    return varint(length, min(needed + excess, max(needed, _MAX_LENGTH_WIDTH)))


def fields(window: Window, start: int, stop: int) -> Iterator[Field]:
    """Walk the fields of the message that lies between two offsets, without reading their values.

    Parameters
    ----------
    window : Window
        A window on the source; nested walks may share it.
    start, stop : int
        Where the message's bytes begin and end.

    Yields
    ------
    Field
        Number, wire type, and offsets of the tag, the length, the value and the value's end. Without a length
        (any wire type but 2) the length's offset is the value's.

    Raises
    ------
    FileFormatError
        If a field is cut short, ends beyond the message, is a group, or has no valid number or wire type.
    """
    at = start
    while at < stop:
        index = at - window.base
        if index < 0 or index + _HEADER > len(window.buffer):
            window.load(at)
            index = 0
        buffer = window.buffer
        tag = buffer[index]
        after = index + 1
        if tag >= 0x80:
            tag, after = _varint(window, index)
        wire = tag & 7
        before = value = window.base + after
        if wire == LENGTH:
            length = buffer[after]
            after += 1
            if length >= 0x80:
                length, after = _varint(window, after - 1)
            value = window.base + after
            end = value + length
        else:
            end = _end_of_number(window, wire, after)
        if end > stop:
            raise _overrun(window.reader, at, end, stop)
        if not 8 <= tag < 1 << 32:
            raise broken(window.reader, at, f"there is the impossible field number {tag >> 3}")
        yield tag >> 3, wire, at, before, value, end
        at = end


def _end_of_number(window: Window, wire: int, index: int) -> int:
    """Return the offset behind a value that has no length prefix and starts at `index` of the buffer."""
    if wire == VARINT:
        return window.base + _varint(window, index)[1]
    if wire == FIXED32:
        return window.base + index + 4
    if wire == FIXED64:
        return window.base + index + 8
    raise broken(window.reader, window.base + index, f"there is wire type {wire}, which ONNX never uses")


def _overrun(reader: Reader, at: int, end: int, stop: int) -> FileFormatError:
    if end > reader.size:
        return broken(reader, at, f"a field ends at byte {end}, beyond the end of the {reader.size} bytes")
    return broken(reader, at, f"a field ends at byte {end}, beyond its message, which ends at byte {stop}")
