"""A serialized model whose values lie elsewhere in memory, as one source that nobody has to copy together.

Whoever has values in memory already need not put them into a message, serialize that and write the result: three copies
of all weights. Here the message is serialized without them, and they are put in their places as it is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate

from onnx_tagger.errors import TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.wire import Field, MemoryReader, Window, fields, length_prefix


class PiecesReader(MemoryReader):
    """Bytes that lie in pieces in memory, one behind another.

    Parameters
    ----------
    pieces : list of memoryview
        Of bytes; what they show must not change while the reader is in use.
    """

    def __init__(self, pieces: list[memoryview]) -> None:
        super().__init__(memoryview(b""))
        self.pieces = [piece for piece in pieces if len(piece)]
        self.ends = list(accumulate(map(len, self.pieces)))
        self.size = self.ends[-1] if self.pieces else 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Return a copy of the bytes."""
        return b"".join(self.views(offset, offset + length))

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes from `start` to `stop`, where they lie."""
        at = bisect_right(self.ends, start)
        while start < stop and at < len(self.pieces):
            piece = self.pieces[at]
            begin = self.ends[at] - len(piece)
            yield piece[start - begin : stop - begin]
            start = self.ends[at]
            at += 1


def filled(
    data: bytes | bytearray | memoryview, payloads: Mapping[str, memoryview], placeholder: bytes | None = None
) -> PiecesReader:
    """Put values in the places that a serialized model has for them.

    Parameters
    ----------
    data : bytes-like
        The model; each initializer of its main graph that values are given for has something else as its raw data.
    payloads : mapping
        Initializer name to the bytes of its values.
    placeholder : bytes, optional
        What stands where values belong. If it is given, those initializers have to have it as their raw data that
        values are given for, and no others.

    Returns
    -------
    PiecesReader
        What protobuf would have written had it been given the values.

    Raises
    ------
    TaggerError
        If the model has no such initializer, or one without raw data; if values or places for them are left over.

    Examples
    --------
    >>> from onnx import GraphProto, ModelProto, TensorProto
    >>> tensor = TensorProto(name="w", dims=[3], data_type=TensorProto.INT8, raw_data=b"-")
    >>> model = ModelProto(graph=GraphProto(initializer=[tensor]))
    >>> made = filled(model.SerializeToString(), {"w": memoryview(b"abc")})
    >>> ModelProto.FromString(made.read_at(0, made.size)).graph.initializer[0].raw_data
    b'abc'
    """
    view = memoryview(data)
    window = Window(MemoryReader(view))
    graph = next(found for found in fields(window, 0, len(view)) if found[0] == wire.GRAPH_OF_MODEL)
    _, _, _, before, value, end = graph
    pieces: list[memoryview] = []
    missing, at = dict(payloads), value
    for tensor in list(fields(window, value, end)):
        if tensor[:2] == (wire.INITIALIZER_OF_GRAPH, wire.LENGTH):
            name, raw = _name_and_values(window, tensor)
            payload = missing.pop(name, None) if raw is not None else None
            if raw is not None and placeholder is not None:
                _insist_on_pair(name, view[raw[4] : raw[5]] == placeholder, payload is not None)
            if raw is not None and payload is not None:
                pieces += (view[at : tensor[3]], _opening(view, tensor, raw, payload), payload)
                at = raw[5]
    if missing:
        raise TaggerError(f"the exported model has no place for the values of {min(missing)!r}; report this")
    pieces.append(view[at:end])
    length = memoryview(length_prefix(sum(map(len, pieces))))
    return PiecesReader([view[:before], length, *pieces, view[end:]])


def _insist_on_pair(name: str, awaited: bool, given: bool) -> None:
    """Refuse to write a placeholder as if it were values, and values over others."""
    if awaited and not given:
        raise TaggerError(
            f"the exported model has a placeholder for the values of {name!r}, which are lost; report this"
        )
    if given and not awaited:
        raise TaggerError(f"the exported model has other values for {name!r} than were handed out; report this")


def _opening(view: memoryview, tensor: Field, raw: Field, payload: memoryview) -> memoryview:
    """What stands between a tensor's tag and its values: its length, and all of it that comes before them."""
    inner = bytes(view[tensor[4] : raw[3]]) + length_prefix(len(payload))
    return memoryview(length_prefix(len(inner) + len(payload) + tensor[5] - raw[5]) + inner)


def _name_and_values(window: Window, tensor: Field) -> tuple[str, Field | None]:
    """The name of a tensor, and where its raw data lies."""
    name, raw = "", None
    for found in fields(window, tensor[4], tensor[5]):
        if found[0] == wire.NAME_OF_TENSOR:
            name = window.read(found[4], found[5]).decode("utf-8", "surrogateescape")
        elif found[0] == wire.RAW_DATA_OF_TENSOR:
            raw = found
    return name, raw
