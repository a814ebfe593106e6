"""A message without the payloads of the tensors in it: the bytes of a skeleton, collected in one sweep over a source.

Nothing here parses what is left; `onnxfile` does. How fields are walked one by one is `wire`'s.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

from onnx_tagger.files import wire
from onnx_tagger.files.wire import LENGTH, NODE, Message, Window, broken, fields, too_much, varint
from onnx_tagger.model.limits import MAX_DEPTH, InputLimits, input_limits

SMALL = 1024
"""A tensor's message of up to so many bytes stays whole in a skeleton."""

SMALL_NODE = 4096
"""A node's message of up to so many bytes stays whole too: looking at its fields would cost more than it saves."""

_NODE_TAGS = {
    "GraphProto": wire.NODE_OF_GRAPH << 3 | LENGTH,
    "FunctionProto": wire.NODE_OF_FUNCTION << 3 | LENGTH,
}
_WIDEST = 5
_NO_PREFIX = bytes(_WIDEST)
_GRAPH_TAG = varint(wire.GRAPH_OF_MODEL << 3 | LENGTH)
_PART = 1 << 16  # bytes that are handed over at a time


def prune(
    window: Window,
    message: Message,
    start: int,
    stop: int,
    *,
    record: Mapping[int, array[int]] | None = None,
) -> bytes:
    """Collect the bytes of a message, less the payloads of the tensors in it.

    Parameters
    ----------
    window : Window
        A window on the source.
    message : Message
        The message's type.
    start, stop : int
        Where its bytes begin and end.
    record : Mapping[int, array[int]], optional
        For fields of this message, by number: an array that takes the offsets of length, value and end of each.

    Returns
    -------
    bytes
        A message of the same type that protobuf can parse.

    Raises
    ------
    FileFormatError
        If the message is broken, exceeds a limit, or what is left is larger than protobuf can parse.
    """
    pruner = Pruner(window)
    pruner.message(message, start, stop, record=record)
    return bytes(pruner.out)


class Pruner:
    """A sweep over a source in ascending order, and what it has kept so far.

    Parameters
    ----------
    window : Window
        A window on the source.
    limits : InputLimits, optional
        What the source is held to; those that hold now by default.
    take : callable, optional
        Takes what `graph` has kept, in parts, each a message like the whole; what is left at the end is in `out`.
    """

    def __init__(
        self, window: Window, limits: InputLimits | None = None, take: Callable[[bytearray], object] | None = None
    ) -> None:
        self.window = window
        self.take = take
        self._graph_at = 0
        self.limits = limits = input_limits() if limits is None else limits
        self.out = bytearray()
        self._kept = 0  # without the prefixes, which are wider than they were
        self._deepest = min(limits.depth, MAX_DEPTH)
        # A message that stays whole is too small to exceed what is allowed.
        self._small = min(SMALL, limits.string_bytes)
        self._small_node = min(SMALL_NODE, limits.string_bytes, 2 * limits.keys)

    def keep(self, start: int, stop: int) -> None:
        """Keep a stretch as it is, unless the skeleton grows beyond what is allowed or protobuf can parse."""
        if start == stop:
            return
        window = self.window
        size = self._kept = self._kept + stop - start
        if size > self.limits.skeleton_bytes:
            what = f"what is left without tensors' values exceeds {self.limits.skeleton_bytes} bytes"
            raise too_much(window.reader, start, what, "skeleton_bytes")
        if size > wire.MAX_MESSAGE:
            raise broken(window.reader, start, "the model exceeds 2 GiB even without its tensors' values")
        if window.base <= start and stop <= window.base + len(window.buffer):
            self.out += memoryview(window.buffer)[start - window.base : stop - window.base]
        else:
            self.out += window.read(start, stop)

    def graph(self, start: int, stop: int, record: Mapping[int, array[int]]) -> None:
        """Keep the main graph, whose tag was kept last: parsers put one together that comes in parts."""
        self._graph_at = len(self.out)
        self.out += _NO_PREFIX
        self.message(wire.GRAPH, start, stop, depth=1, record=record, in_parts=True)
        self._close(self._graph_at)

    def hand_over(self) -> None:
        """Between two fields of the main graph: let go of what has been kept, if it is much."""
        if self.take is None or len(self.out) < _PART:
            return
        self._close(self._graph_at)
        self.take(self.out)
        self.out[:] = _GRAPH_TAG + _NO_PREFIX
        self._graph_at = len(_GRAPH_TAG)

    def _close(self, at: int) -> None:
        """Write the length of a message into the prefix that was left free for it."""
        self.out[at : at + _WIDEST] = varint(len(self.out) - at - _WIDEST, _WIDEST)

    def inside(
        self,
        message: Message,
        start: int,
        stop: int,
        *,
        depth: int,
        record: Mapping[int, array[int]] | None = None,
    ) -> None:
        """Keep what `message` does, behind a length prefix: all five bytes of it, since the length comes last."""
        at = len(self.out)
        self.out += _NO_PREFIX
        self.message(message, start, stop, depth=depth, record=record)
        self._close(at)

    def message(
        self,
        message: Message,
        start: int,
        stop: int,
        *,
        depth: int = 0,
        record: Mapping[int, array[int]] | None = None,
        in_parts: bool = False,
    ) -> None:
        """Keep a message but for the payloads in it.

        Parameters
        ----------
        message : Message
            Its type.
        start, stop : int
            Where its bytes begin and end.
        depth : int
            How many messages enclose it.
        record : Mapping[int, array[int]], optional
            As of `prune`.
        in_parts : bool
            Whether it may be handed over before it is whole.
        """
        if depth > self._deepest:
            what = f"messages are nested more than {self._deepest} deep"
            raise too_much(self.window.reader, start, what, "depth")
        sweep = _Sweep(self, message, start, record or {}, in_parts)
        node_tag = _NODE_TAGS.get(message.name)
        at = start
        while at < stop:
            if node_tag is not None:
                at = sweep.whole_nodes(node_tag, at, stop)
            at = sweep.fields(at, stop, depth)
        self.keep(sweep.run, stop)


class _Sweep:
    """The sweep over one message; what lies between `run` and where it has got to is still to be kept."""

    def __init__(
        self, pruner: Pruner, message: Message, start: int, record: Mapping[int, array[int]], in_parts: bool
    ) -> None:
        self.pruner = pruner
        self.in_parts = in_parts
        self.type = message
        self.record = record
        self.run = start
        self.entries = 0

    def fields(self, at: int, stop: int, depth: int) -> int:
        """Go on field by field, up to the end or behind a node; return where that is."""
        pruner, window = self.pruner, self.pruner.window
        for number, kind, tag_at, before, value, end in fields(window, at, stop):
            if number in self.type.payload:
                pruner.keep(self.run, tag_at)
                self.run = end
                continue
            child = self.type.children.get(number)
            if child is None:
                if number in self.type.texts:
                    self._insist_on_allowed(number, tag_at, end - value)
                continue
            if kind != LENGTH:
                raise broken(window.reader, tag_at, f"field {number} of {self.type.name} is not a message")
            is_node = child is NODE
            if number in self.record:
                self._note(number, is_node, tag_at, (before, value, end))
            if end - value > (pruner._small_node if is_node else pruner._small):
                pruner.keep(self.run, before)  # first, so that the window never moves back
                pruner.inside(child, value, end, depth=depth + 1)
                self._kept_up_to(end)
            if is_node:
                return end
        return stop

    def _kept_up_to(self, at: int) -> None:
        self.run = at
        if self.in_parts:
            self.pruner.hand_over()

    def _note(self, number: int, is_node: bool, at: int, span: tuple[int, int, int]) -> None:
        spans, most = self.record[number], self.pruner.limits.nodes
        spans.extend(span)
        if is_node and len(spans) > 3 * most:
            raise too_much(self.pruner.window.reader, at, f"more than {most} nodes are listed", "nodes")

    def _insist_on_allowed(self, number: int, at: int, length: int) -> None:
        """Raise if a text is too long, or a node's metadata entries up to this one are too many."""
        reader, limits = self.pruner.window.reader, self.pruner.limits
        self.entries += number == wire.METADATA_OF_NODE and self.type is NODE
        if length > limits.string_bytes:
            raise too_much(reader, at, f"a text of {length} bytes starts", "string_bytes")
        if self.entries > limits.keys:
            raise too_much(reader, at, f"a node holds more than {limits.keys} metadata entries", "keys")

    def whole_nodes(self, tag: int, at: int, stop: int) -> int:
        """Step over nodes that stay whole and follow each other; return where the first field of another kind is."""
        window, pruner = self.pruner.window, self.pruner
        largest = pruner._small_node
        spans = self.record.get(tag >> 3)
        while True:
            if not window.base <= at < window.base + len(window.buffer):
                pruner.keep(self.run, at)
                self._kept_up_to(at)
                window.load(at)
            room = 2 * pruner.limits.nodes if spans is None else pruner.limits.nodes - len(spans) // 3
            found, at = plain_nodes(window, tag, at, stop, largest, room)
            if spans is not None:
                spans.extend(found)
            if window.base == at or at >= stop or at + largest + _WIDEST < window.base + len(window.buffer):
                return at
            # The window may end inside a node; what it holds is kept before it moves on.
            pruner.keep(self.run, at)
            self._kept_up_to(at)
            window.load(at)


def plain_nodes(window: Window, tag: int, at: int, stop: int, largest: int, room: int) -> tuple[list[int], int]:
    """Find messages of one field that follow each other in the window, as far as nothing about them is unusual.

    Parameters
    ----------
    window : Window
        A window that holds `at`.
    tag : int
        The field's tag, of one byte.
    at, stop : int
        Where the first one starts, and where the message that holds them ends.
    largest : int
        Bytes of the largest one that is stepped over, below 16384: two bytes tell the length.
    room : int
        How many may be found.

    Returns
    -------
    tuple of (list of int, int)
        Offsets of length, value and end of each, and where something else begins.
    """
    buffer, base = window.buffer, window.base
    found: list[int] = []
    # Three bytes can be read anywhere up to `last`; where the message ends, no field fits any more.
    index, last = at - base, min(stop - base, len(buffer) - 3)
    while index <= last and buffer[index] == tag:
        length, value = buffer[index + 1], index + 2
        if length >= 0x80:
            high = buffer[value]
            if high >= 0x80:
                break
            length += (high << 7) - 0x80
            value += 1
        end = value + length
        if end > last or length > largest:
            break
        found += (base + index + 1, base + value, base + end)
        index = end
    del found[3 * room :]
    return found, found[-1] if found else at
