"""Nodes that follow each other in a source, compared with what they are now many at a time.

What is found here is what `splice` finds one by one, for nodes of which nothing but metadata at the end differs: a few
calls for a hundred nodes. All others are left to `splice`. What changes is encoded twice if it is much: once to know
how long it becomes and once to be written, so that it never is in memory as a whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise, repeat

import numpy as np
import onnx

from onnx_tagger.files import wire
from onnx_tagger.files.pruning import SMALL_NODE
from onnx_tagger.files.wire import Reader, length_prefix, varint

METADATA_TAG_OF_NODE = varint(wire.METADATA_OF_NODE << 3 | wire.LENGTH)
"""The tag of a node's metadata entry."""

ENCODE_NODE = onnx.NodeProto.SerializeToString

_LOOKED_AT = 1 << 14  # nodes whose places are compared at a time
_MOST = 256  # nodes that are encoded at a time
_BYTES = 1 << 16  # about so many bytes of them: more would come from fresh memory each time
_FEW = 4  # so many are looked at one by one as fast
_HELD = 1 << 17  # bytes of a stretch that are held once they are encoded
_TABULATED = 1 << 11


class Stretch:
    """The source's bytes from `start` to `end` give way to `size` bytes: nodes as they are now, made when asked for.

    Parameters
    ----------
    start : int
        Where the length of the first node lies in the source; its tag stays where it is.
    nodes : sequence of onnx.NodeProto
        All nodes of a graph or function.
    first : int
        The first one of those that it is about.
    tag : int
        The tag of each.
    """

    __slots__ = ("_first_open", "_held", "_tag", "end", "first", "last", "nodes", "size", "start")

    def __init__(self, start: int, nodes: Sequence[onnx.NodeProto], first: int, tag: int) -> None:
        self.start = self.end = start
        self.size = 0
        self.nodes = nodes
        self.first = self.last = self._first_open = first
        self._held: list[bytes] = []
        self._tag = tag

    def goes_on(self, start: int, nodes: Sequence[onnx.NodeProto], first: int) -> bool:
        """Whether a node follows the last one of the stretch, with a tag of one byte between them."""
        return start == self.end + 1 and first == self.last and nodes is self.nodes

    def take(self, end: int, encoded: list[bytes]) -> int:
        """Take the next nodes, which end there in the source and are this now; return by how much the source grows.

        The first ones are held, as long as they are few: it takes less than encoding them again.
        """
        pieces = _with_prefixes(self._tag, encoded, leading=self.size > 0)
        size = sum(map(len, pieces))
        if self.size + size <= _HELD:
            self._held.append(b"".join(pieces))
            self._first_open += len(encoded)
        growth = size - (end - self.end)
        self.end, self.size, self.last = end, self.size + size, self.last + len(encoded)
        return growth

    def pieces(self) -> Iterator[bytes]:
        """Yield what takes the place of the source's bytes."""
        yield from self._held
        step = _step(self.size // (self.last - self.first))
        for low in range(self._first_open, self.last, step):
            encoded = list(map(ENCODE_NODE, self.nodes[low : min(low + step, self.last)]))
            yield b"".join(_with_prefixes(self._tag, encoded, leading=low > self.first))


def runs(spans: array[int]) -> Iterator[tuple[int, int, bool]]:
    """Part nodes into those that can be taken together and those that have to be looked at one by one.

    Parameters
    ----------
    spans : array of int
        Offsets of length, value and end of each node.

    Yields
    ------
    tuple of (int, int, bool)
        A node, the one behind the last that belongs to it, and whether they can be taken together: they are small, no
        length is wider than it has to be, and between any two lies a tag of one byte. About as many at a time as
        should be encoded together.
    """
    for low in range(0, len(spans) // 3, _LOOKED_AT):
        places = np.frombuffer(spans, np.int64)[3 * low : 3 * (low + _LOOKED_AT)].reshape(-1, 3)
        before, value, end = places.T
        lengths = end - value
        plain = (lengths <= SMALL_NODE) & (value - before == 1 + (lengths >= 0x80))
        edges = np.flatnonzero((plain[1:] != plain[:-1]) | (before[1:] != end[:-1] + 1)) + 1
        for first, last in pairwise([0, *edges.tolist(), len(plain)]):
            step = _step(int(end[last - 1] - before[first]) // (last - first))
            together = bool(plain[first]) and last - first >= _FEW
            for at in range(first, last, step):
                yield low + at, low + min(at + step, last), together


def _step(mean: int) -> int:
    """How many nodes should be encoded at a time if each has so many bytes."""
    return min(_MOST, max(_FEW, _BYTES // max(1, mean)))


def compared(reader: Reader, spans: array[int], nodes: Iterable[onnx.NodeProto]) -> list[bytes] | None:
    """Compare nodes that can be taken together with the source.

    Parameters
    ----------
    reader : Reader
        The source.
    spans : array of int
        Offsets of length, value and end of each in it.
    nodes : iterable of onnx.NodeProto
        The nodes as they are now.

    Returns
    -------
    list of bytes or None
        The nodes encoded as they are now, none if nothing differs. None if more than metadata at their ends does.
    """
    start = spans[0]
    data = reader.read_at(start, spans[-1] - start)
    offsets = iter(spans)
    old = [data[value - start : end - start] for _, value, end in zip(offsets, offsets, offsets, strict=True)]
    new = list(map(ENCODE_NODE, nodes))
    if old == new:
        return []
    return new if _all_gain(old, new) or _all_lose(old, new) else None


def gains_metadata(old: bytes, new: bytes) -> bool:
    """Whether a node is now its bytes in the source and behind them metadata.

    Protobuf encodes a node's fields by number, so that behind the first entry nothing but entries and fields of higher
    numbers follow. The source's bytes stay, all of them; what is added is all that the node has beyond them.
    """
    return new.startswith(old) and new.startswith(METADATA_TAG_OF_NODE, len(old))


def loses_metadata(old: bytes, new: bytes) -> bool:
    """Whether a node's bytes in the source are what it is now and behind that metadata entries, nothing else.

    A source may go on with anything, a field that it has said before, too, and that would be lost.
    """
    return gains_metadata(new, old) and _only_metadata(old[len(new) :])


def _only_metadata(ends: bytes) -> bool:
    """Whether a node that is nothing but these fields has nothing but metadata; one that is unknown counts, too."""
    node: onnx.NodeProto = onnx.NodeProto.FromString(ends)
    node.ClearField("metadata_props")
    return not node.SerializeToString()


def _all_gain(old: list[bytes], new: list[bytes]) -> bool:
    """Whether `gains_metadata` holds for all pairs."""
    return all(map(bytes.startswith, new, old)) and all(
        map(bytes.startswith, new, repeat(METADATA_TAG_OF_NODE), map(len, old))
    )


def _all_lose(old: list[bytes], new: list[bytes]) -> bool:
    """Whether `loses_metadata` holds for all pairs, whose ends are parsed as those of one node.

    Each pair is of whole nodes, so what one has beyond the other is of whole fields.
    """
    return _all_gain(new, old) and _only_metadata(b"".join([o[len(n) :] for o, n in zip(old, new, strict=True)]))


def _with_prefixes(tag: int, encoded: list[bytes], *, leading: bool) -> list[bytes]:
    """Tag and length of each node before it, for the first one the tag only if it is `leading`."""
    known = _tabulated(tag)
    pieces = encoded * 2
    pieces[1::2] = encoded
    pieces[::2] = [known[n] if n < _TABULATED else bytes([tag]) + length_prefix(n) for n in map(len, encoded)]
    pieces[0] = pieces[0] if leading else pieces[0][1:]
    return pieces


@cache
def _tabulated(tag: int) -> list[bytes]:
    """Tag and length of a node, by its length, for the lengths that most nodes have."""
    return [bytes([tag]) + length_prefix(length) for length in range(_TABULATED)]
