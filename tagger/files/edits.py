"""Edits of a source as segments: stretches of it and the bytes that take their place; all between them is copied.

Here lives the arithmetic of a plan: segments in order, lengths of enclosing messages, padding. What is to be edited is
`splice`'s business, carrying a plan out `onnxfile`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from onnx_tagger.files import wire
from onnx_tagger.files.stretches import Stretch
from onnx_tagger.files.wire import Field, Reader, Window, length_prefix, varint
from onnx_tagger.model.texts import brief_fields

_MERGE = 1 << 16  # two edits closer than this become one segment: one buffered write instead of several calls
_WORTH_ALIGNING = 1 << 20  # below this, a copy at full speed gains nothing that could be measured
_PAGE = 4096

METADATA_TAG_OF_MODEL = varint(wire.METADATA_OF_MODEL << 3 | wire.LENGTH)
"""The tag of a model's metadata entry."""


@dataclass(slots=True)
class Segment:
    """The source's bytes from `start` to `end` give way to `data`."""

    start: int
    end: int
    data: bytearray

    __repr__ = brief_fields

    @property
    def size(self) -> int:
        """How many bytes there are instead."""
        return len(self.data)

    def pieces(self) -> Iterator[bytes | bytearray]:
        """Yield them."""
        yield self.data


Change = Segment | Stretch
"""A stretch of a source and what takes its place; that of nodes is made when it is written."""


class Edits:
    """A growing list of segments; edits come in ascending order and never overlap."""

    def __init__(self, reader: Reader) -> None:
        self.segments: list[Change] = []
        self.delta = 0
        self._window = Window(reader)
        self._open: Segment | None = None

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Put `data` where the source's bytes from `start` to `end` were."""
        segment = self._open
        if segment is None or start - segment.end > _MERGE:
            segment = self._open = Segment(start, end, bytearray())
            self.segments.append(segment)
        elif start > segment.end:
            segment.data += self._window.read(segment.end, start)
        segment.data += data
        segment.end = end
        self.delta += len(data) - (end - start)

    def put(
        self, start: int, end: int, nodes: Sequence[onnx.NodeProto], first: int, tag: int, encoded: list[bytes]
    ) -> None:
        """Put nodes as they are now, from the first one on, where they were; the tag of each is of one byte."""
        stretch = self.segments[-1] if self.segments else None
        if not (isinstance(stretch, Stretch) and stretch.goes_on(start, nodes, first)):
            stretch = Stretch(start, nodes, first, tag)
            self.segments.append(stretch)
        self.delta += stretch.take(end, encoded)
        self.split()

    def split(self) -> None:
        """Let the next edit start a segment of its own."""
        self._open = None

    def enter(self, before: int, value: int) -> tuple[int, int]:
        """Keep a place for a message's length prefix, to be written when its content is known."""
        self.segments.append(Segment(before, value, bytearray()))
        self.split()
        return len(self.segments), self.delta

    def leave(self, entered: tuple[int, int], end: int) -> None:
        """Fill the place that `enter` kept, or give it up if nothing inside the message changed."""
        count, delta = entered
        prefix = self.segments[count - 1]
        assert isinstance(prefix, Segment)
        if len(self.segments) == count:
            self.segments.pop()
            return
        old_length, old_width = end - prefix.end, prefix.end - prefix.start
        prefix.data += length_prefix(old_length + self.delta - delta, old_length, old_width)
        self.delta += len(prefix.data) - old_width


def aligned(segments: list[Change], size: int, graph_at: int, pads: list[Field], key: str) -> list[Change]:
    """Choose the padding entry so that the largest stretch between two segments keeps its offset modulo 4096.

    The entry goes right before the graph, where it moves all that the graph holds and no length prefix. Where the
    offset is kept without it, the plan stays as it is.

    Parameters
    ----------
    segments : list of Change
        The plan, not empty; none of its segments holds a padding entry.
    size : int
        Bytes of the source.
    graph_at : int
        Offset of the graph's tag.
    pads : list of Field
        Padding entries in the source that the plan keeps; they go if the padding changes.
    key : str
        The entry's key.

    Returns
    -------
    list of Change
        The plan with the padding.
    """
    stops = [segment.start for segment in segments[1:]] + [size]
    shift = largest = best = delta = 0
    for segment, stop in zip(segments, stops, strict=True):
        delta += segment.size - (segment.end - segment.start)
        if stop - segment.end > largest and segment.end >= graph_at:
            largest, shift, best = stop - segment.end, delta, segment.end
    if largest < _WORTH_ALIGNING or shift % _PAGE == 0:
        return segments
    for found in pads:
        segments.append(Segment(found[2], found[5], bytearray()))
        if found[2] < best:
            shift -= found[5] - found[2]
    need = -shift % _PAGE
    if need:
        segments.append(Segment(graph_at, graph_at, bytearray(_pad_entry(key, need))))
    # The sort is stable and a cut that ends where the padding goes starts before it.
    return sorted(segments, key=lambda segment: segment.start)


def _pad_entry(key: str, need: int) -> bytes:
    """Encode a model metadata entry whose length is `need` modulo a page."""
    for total in itertools.count(need, _PAGE):  # some lengths fall into the step where a prefix grows
        for blanks in range(max(0, total - len(key) - 16), max(0, total - len(key))):
            entry: bytes = onnx.StringStringEntryProto(key=key, value=" " * blanks).SerializeToString()
            data = METADATA_TAG_OF_MODEL + varint(len(entry)) + entry
            if len(data) == total:
                return data
    raise AssertionError("unreachable: the lengths have no end")
