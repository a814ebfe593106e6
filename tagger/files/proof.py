"""The proof that weights were not touched: one digest over every stored tensor of a model, before and after.

It walks a file by itself, on bytes alone, and shares no plan with the writing that it proves. How tensors are known
again after a tool has changed them is another matter (`digest`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.external import tensors_of
from onnx_tagger.files.sources import open_place
from onnx_tagger.files.wire import Reader, Window, fields
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.urls import Place

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """What is stored in a model.

    Attributes
    ----------
    sha256 : str
        The sum, modulo 2**256, of the SHA-256 of each tensor's message and each data file: order tells nothing.
    tensors : int
        How many tensors there are: initializers, sparse ones, and those in attributes, bodies and functions.
    size : int
        Bytes of their messages and of the data files.
    """

    sha256: str
    tensors: int
    size: int

    __repr__ = brief_fields

    def as_dict(self) -> dict[str, object]:
        """The report's key `weights`."""
        return {"sha256": self.sha256, "tensors": self.tensors, "bytes": self.size}

    def insist_on(self, before: Weights, target: Path) -> None:
        """Raise unless a model that was just written stores what the one before stores.

        Raises
        ------
        TaggerError
            If not.
        """
        if self != before:
            raise TaggerError(
                f"{target}: would hold other weights than its source ({self.tensors} tensors with the sha256 "
                f"{self.sha256[:16]}, not {before.tensors} with {before.sha256[:16]}), so nothing was written; "
                "check disk and memory, then report it"
            )


class _Sum:
    """A sum of digests in the making."""

    def __init__(self) -> None:
        self.total = self.tensors = self.size = 0

    def add(self, parts: Iterable[bytes]) -> None:
        # Loads OpenSSL, which a write that proves nothing does without.
        from hashlib import sha256

        one = sha256()
        for part in parts:
            one.update(part)
            self.size += len(part)
        self.total += int.from_bytes(one.digest(), "big")

    def weights(self) -> Weights:
        return Weights(f"{self.total % 2**256:064x}", self.tensors, self.size)


def weights_of(reader: Reader, data_files: Iterable[Place] = ()) -> Weights:
    """Digest every stored tensor of a serialized model, and the files that hold the values of others.

    Parameters
    ----------
    reader : Reader
        The model.
    data_files : iterable of Path or Url
        Its external data.

    Returns
    -------
    Weights

    Raises
    ------
    FileFormatError
        If the model is damaged.
    TaggerError
        If a data file cannot be read.
    """
    found = _Sum()
    for start, stop in _tensor_spans(reader):
        found.tensors += 1
        found.add(_chunks(reader, start, stop))
    for path in data_files:
        with open_place(path) as data:
            found.add(_chunks(data, 0, data.size))
    return found.weights()


def weights_of_model(model: onnx.ModelProto) -> Weights:
    """The same of a parsed model, whose tensors are serialized anew: only such digests compare with each other."""
    found = _Sum()
    for tensor in tensors_of(model):
        found.tensors += 1
        found.add([tensor.SerializeToString(deterministic=True)])
    return found.weights()


def weights_of_values(values: Iterable[tuple[str, bytes]]) -> Weights:
    """The same of names and values, before there is a file."""
    found = _Sum()
    for name, data in values:
        found.tensors += 1
        found.add([name.encode("utf-8", "surrogatepass"), b"\0", data])
    return found.weights()


def _tensor_spans(reader: Reader) -> Iterator[tuple[int, int]]:
    """Yield where each tensor's message lies, at any depth, in no particular order."""
    window = Window(reader)
    waiting = [(wire.MODEL, 0, reader.size)]
    while waiting:
        message, start, stop = waiting.pop()
        for number, kind, _, _, value, end in fields(window, start, stop):
            child = message.children.get(number)
            if child is None or kind != wire.LENGTH:
                continue
            if child is wire.TENSOR:
                yield value, end
            else:
                waiting.append((child, value, end))


def _chunks(reader: Reader, start: int, stop: int) -> Iterator[bytes]:
    for at in range(start, stop, _CHUNK):
        yield reader.read_at(at, min(_CHUNK, stop - at))
