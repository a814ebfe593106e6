"""What the modules of a model took and gave in one run: the reference that a file is compared with.

It is recorded by exporters from a model of torch, or taken by workflows from another ONNX file, and saved as an
``.npz`` file, so that torch need not be where the file runs. Which tensor of a file is which value is a workflow's.
"""

from __future__ import annotations

import hashlib
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.filecopy import permissions_of, replacing
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.model.texts import brief, counted

Values = npt.NDArray[Any]
Side = Literal["in", "out"]

# Values of more bytes than this, taken together, are kept in a file, and read from it each time that one is asked for.
IN_MEMORY = 1 << 29

_RECORD = "recording"
_UNREADABLE = (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error, msgspec.MsgspecError)


class Port(msgspec.Struct, frozen=True):
    """One tensor that a call of a module took or gave.

    Attributes
    ----------
    call : str
        Path of the module, with ``@k`` behind each module on it that is called more than once.
    side : "in" or "out"
    value : int
        Position among the values of the recording.
    """

    call: str
    side: Side
    value: int


class _Record(msgspec.Struct):
    format: Literal["onnx-tagger/recording"]
    version: Literal[1]
    created_by: str
    ports: list[Port]
    spans: dict[str, tuple[int, int]]
    inputs: list[str]
    tensors: dict[str, int]
    count: int


class Shelf:
    """Arrays in the order in which they were added, each once; what memory should not hold is in a temporary file.

    Examples
    --------
    >>> shelf = Shelf()
    >>> shelf.add(np.ones(3)), shelf.add(np.zeros(3)), shelf.add(np.ones(3)), len(shelf)
    (0, 1, 0, 2)
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._arrays: list[Values | tuple[int, np.dtype[Any], tuple[int, ...]]] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], int] = {}
        self._left = in_memory
        self._file: IO[bytes] | None = None

    def add(self, array: Values) -> int:
        """Keep an array, unless an equal one is kept already, and return its position."""
        plain = np.ascontiguousarray(array).reshape(array.shape)
        key = plain.dtype.str, plain.shape, hashlib.blake2b(plain.data, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = len(self._arrays)
            self._left -= plain.nbytes
            self._arrays.append(self._apart(plain) if self._left < 0 else plain.copy())
        return self._known[key]

    def _apart(self, array: Values) -> tuple[int, np.dtype[Any], tuple[int, ...]]:
        """Write an array to the file, and return its place, type and shape."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the shelf is there
            weakref.finalize(self, self._file.close)
        place = self._file.seek(0, 2)
        self._file.write(array.data)
        return place, array.dtype, array.shape

    def __getitem__(self, place: int) -> Values:
        found = self._arrays[place]
        if not isinstance(found, tuple):
            return found
        assert self._file is not None
        at, dtype, shape = found
        self._file.seek(at)
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._file.read(size), dtype=dtype).reshape(shape)

    def __len__(self) -> int:
        return len(self._arrays)

    def __iter__(self) -> Iterator[Values]:
        return (self[place] for place in range(len(self)))


@dataclass(frozen=True, eq=False)
class Recording:
    """The values of a run by module.

    Parameters
    ----------
    values : Shelf
        Each value once, of floats, integers or truth values.
    ports : sequence of Port
        In the order in which values were taken and given.
    spans : mapping
        Call to the positions of the first and last operation that it did itself, and not a module in it.
    inputs : mapping
        Name of each input of the run to its value, in the order of the call.
    tensors : mapping
        Where it was taken from a file: the name of each tensor to the position of its value.
    created_by : str
        Name and version of the program that made it.

    Examples
    --------
    >>> shelf = Shelf()
    >>> ports = [Port("act", "in", shelf.add(np.array([-1.0, 1.0]))), Port("act", "out", shelf.add(np.array([0, 1.0])))]
    >>> Recording(shelf, ports, {"act": (0, 0)}, {})
    <Recording 2 values, 2 ports>
    """

    values: Shelf
    ports: Sequence[Port]
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    inputs: Mapping[str, Values] = field(default_factory=dict)
    tensors: Mapping[str, int] = field(default_factory=dict)
    created_by: str = ""

    def __repr__(self) -> str:
        return brief(self, counted(len(self.values), "value"), counted(len(self.ports), "port"))

    @property
    def calls(self) -> list[str]:
        """The calls of modules, in the order in which they began."""
        return list(dict.fromkeys(port.call for port in self.ports))

    def save(self, path: str | Path) -> None:
        """Write the recording as an ``.npz`` file, whole or not at all.

        Raises
        ------
        TaggerError
            If the file cannot be written.
        """
        permissions_of(Path(path))
        spans, named = dict(self.spans), dict(self.tensors)
        count = len(self.values)
        record = _Record(
            "onnx-tagger/recording", 1, self.created_by, list(self.ports), spans, list(self.inputs), named, count
        )
        arrays = {f"value_{i}": value for i, value in enumerate(self.values)}
        arrays |= {f"input_{i}": value for i, value in enumerate(self.inputs.values())}
        text = np.frombuffer(msgspec.json.encode(record), dtype=np.uint8)
        with tempfile.TemporaryFile() as stream, replacing(Path(path).resolve()) as output:
            np.savez(stream, allow_pickle=False, **{_RECORD: text}, **arrays)
            stream.seek(0)
            while piece := stream.read(1 << 20):
                output.write(piece)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording.

        Raises
        ------
        TaggerError
            If the file cannot be read as one.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                record = msgspec.json.decode(file[_RECORD].tobytes(), type=_Record)
                shelf = Shelf()
                places = [shelf.add(file[f"value_{i}"]) for i in range(record.count)]
                inputs = {name: file[f"input_{i}"] for i, name in enumerate(record.inputs)}
                tensors = {name: places[value] for name, value in record.tensors.items()}
                ports = [Port(port.call, port.side, places[port.value]) for port in record.ports]
        except _UNREADABLE as error:
            advice = advice_on_missing(Path(path)) if isinstance(error, FileNotFoundError) else ""
            raise TaggerError(
                f"{path}: cannot be read as a recording ({first_sentence(error)}); "
                f"{advice or 'make one with onnx-tagger compare --record'}"
            ) from None
        except IndexError:
            raise TaggerError(f"{path}: names values that it does not hold; it is damaged, record again") from None
        return cls(shelf, ports, record.spans, inputs, tensors, record.created_by)


def is_recording(path: str | Path) -> bool:
    """Whether a file is an ``.npz`` file that `Recording.save` wrote; read no further than its list of arrays.

    Examples
    --------
    >>> is_recording("missing.npz")
    False
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return isinstance(file, np.lib.npyio.NpzFile) and _RECORD in file.files
    except _UNREADABLE:
        return False
