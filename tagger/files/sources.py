"""Opening what a model, its map or its weights can be read from: a local file, a file elsewhere, or any object that
gives bytes at an offset.

What the bytes are is not looked at, save for what stands in place of a file: a Git-LFS pointer, or a page for people.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files.external import contained
from onnx_tagger.files.wire import Reader, open_file
from onnx_tagger.model.arguments import described
from onnx_tagger.model.limits import advice
from onnx_tagger.model.urls import Place, Url

_POINTER = b"version https://git-lfs.github.com/spec/v1"
_LONGEST_POINTER = 1024  # as Git LFS itself has it
_PAGE = (b"<!doctype html", b"<html")


@runtime_checkable
class ByteSource(Protocol):
    """What a model can be read from that is no file: an archive, a database, a cache of your own.

    Examples
    --------
    >>> class Shifted:
    ...     def __init__(self, data: bytes) -> None:
    ...         self.data, self.size = data, len(data)
    ...
    ...     def read_at(self, offset: int, length: int) -> bytes:
    ...         return self.data[offset : offset + length]
    >>> isinstance(Shifted(b"abc"), ByteSource)
    True
    """

    @property
    def size(self) -> int:
        """Bytes of all of it."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only where the source ends."""


class SourceReader(Reader):
    """An object of a caller's as a reader, whose answers are not believed blindly.

    Raises
    ------
    TaggerError
        If its size is no number.
    """

    def __init__(self, source: ByteSource) -> None:
        size = source.size
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise TaggerError(f"the size of the given {type(source).__name__} is {described(size)}; give whole bytes")
        self.source, self.size = source, size
        self.name = str(getattr(source, "name", f"the given {type(source).__name__}"))

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the source, all of which it has to give."""
        length = max(0, min(length, self.size - offset))
        data = self.source.read_at(offset, length)
        if not isinstance(data, (bytes, bytearray, memoryview)) or len(data) != length:
            raise TaggerError(f"{self.name} does not give {length} bytes at byte {offset}; mend its read_at")
        return bytes(data)


@contextmanager
def open_place(place: Place, name: str | None = None) -> Iterator[Reader]:
    """Open a file, here or elsewhere; see `wire.open_file` and `remote.opening.open_remote`."""
    if isinstance(place, Url):
        from onnx_tagger.files.remote.opening import open_remote

        yield open_remote(place)
        return
    with open_file(place, name) as reader:
        yield reader


def data_file(model: Place, location: str | bytes, *, links: int = 1) -> Place:
    """Where the values lie that a model keeps in another file, which never leaves the model's folder.

    Raises
    ------
    TaggerError
        If the location does; see `onnx_tagger.files.external.contained`.
    """
    if isinstance(model, Path):
        return contained(model.parent, location, links=links)
    what = f"the external data {location!r} of {model.shown}"
    if isinstance(location, bytes) or not location or "\0" in location or "\\" in location or ":" in location:
        raise TaggerError(f"{what} is no file name; repair the model's external data")
    parts = location.split("/")
    if location.startswith("/") or ".." in parts or not parts[-1]:
        raise TaggerError(f"{what} lies outside its folder; move the data beside the model and save it again")
    return model.sibling("/".join(part for part in parts if part not in ("", ".")))


def insist_on_content(reader: Reader) -> None:
    """Raise if a source holds what stands for a file in place of the file itself.

    Raises
    ------
    FileFormatError
        If it is a Git-LFS pointer, or a web page.
    """
    begin = reader.read_at(0, min(reader.size, len(_POINTER)))
    if begin == _POINTER and reader.size <= _LONGEST_POINTER:
        raise FileFormatError(
            f"{reader.name} is a Git LFS pointer, which stands for the file: run git lfs pull in its repository"
            + (", or give the URL of the file itself (/resolve/ in place of /raw/)" if "://" in reader.name else "")
        )
    if begin[:15].lower().startswith(_PAGE):
        raise FileFormatError(
            f"{reader.name} is a web page; give the URL of the file itself (/resolve/ or /raw/ in place of /blob/)"
        )


def read_all(place: Place, most: int) -> bytes:
    """All bytes of a file, which may be elsewhere.

    Raises
    ------
    TaggerError
        If it holds more than `most`, or cannot be read.
    """
    with open_place(place) as reader:
        if reader.size > most:
            raise TaggerError(
                f"{reader.name} holds {reader.size} bytes, more than the {most} allowed; {advice('map_bytes')}"
            )
        data = reader.read_at(0, reader.size)
        reader.confirm()
        return data


def begins_as_model(place: Place) -> bool:
    """Whether a file begins as models do that a library wrote: with the IR version, as no JSON and no archive does."""
    try:
        with open_place(place) as reader:
            return reader.read_at(0, 1) == b"\x08"
    except TaggerError:
        return False  # whoever reads it says what is wrong with it


def is_source(value: object) -> bool:
    """Whether a value gives bytes at an offset."""
    return not isinstance(value, (str, bytes, os.PathLike)) and isinstance(value, ByteSource)
