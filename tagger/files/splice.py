"""What has to change in a file's bytes so that it says what a skeleton says now: the plan, not the writing.

A plan is a list of `edits.Change`. Only three kinds of stretches ever change: metadata entries (cut, appended, or of
a node given another value), a node's doc_string, and the length prefixes of the messages around them. `onnxfile`
carries the plan out.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from onnx_tagger.errors import TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.edits import METADATA_TAG_OF_MODEL, Change, Edits, aligned
from onnx_tagger.files.pruning import SMALL_NODE, prune
from onnx_tagger.files.stretches import (
    ENCODE_NODE,
    METADATA_TAG_OF_NODE,
    compared,
    gains_metadata,
    loses_metadata,
    runs,
)
from onnx_tagger.files.wire import Field, Reader, Window, broken, fields, length_prefix, varint
from onnx_tagger.model.texts import brief_fields

_DOC_STRING_TAG = varint(wire.DOC_STRING_OF_NODE << 3 | wire.LENGTH)
_ENCODE_ENTRY = onnx.StringStringEntryProto.SerializeToString
_NODE_ENTRY_HEADS = tuple(METADATA_TAG_OF_NODE + length_prefix(length) for length in range(1024))

Proto = TypeVar("Proto")
Text = str | bytes  # protobuf hands out bytes where a string is not valid UTF-8


@dataclass
class Layout:
    """Where the parts of a source lie that a splice touches, as `wire.fields` and `pruning.prune` report them.

    Attributes
    ----------
    top : list of Field
        The model's own fields for the graph, functions and metadata.
    nodes : array of int
        Offsets of length, value and end of each node of the main graph, one after another.
    initializers : array of int
        The same of each initializer of the main graph.
    functions : list of array of int
        The same of the nodes of each function.
    """

    top: list[Field] = field(default_factory=list)
    nodes: array[int] = field(default_factory=lambda: array("Q"))
    initializers: array[int] = field(default_factory=lambda: array("Q"))
    functions: list[array[int]] = field(default_factory=list)

    __repr__ = brief_fields


def parse(decode: Callable[[bytes], Proto], data: bytes | bytearray, reader: Reader, at: int) -> Proto:
    """Parse a message that starts at an offset of a source.

    Parameters
    ----------
    decode : callable
        The `FromString` of the message's class.
    data : bytes or bytearray
        The message.
    reader : Reader
        The source, named in the error.
    at : int
        Where in it the message starts.

    Returns
    -------
    Proto
        The parsed message.

    Raises
    ------
    FileFormatError
        If protobuf refuses it.
    TaggerError
        If there is not enough memory for it.
    """
    try:
        return decode(bytes(data))  # protobuf 4 takes no bytearray
    except (DecodeError, ValueError) as error:
        if "alloc failed" in str(error):  # protobuf's own word for it, not Python's MemoryError
            raise TaggerError(f"{reader.name} takes more memory than this process may hold; allow it more") from error
        raise broken(reader, at, f"a message starts that protobuf cannot parse ({error})") from error


def has_bodies(node: onnx.NodeProto) -> bool:
    """Tell whether a node holds graphs in its attributes."""
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def plan(reader: Reader, layout: Layout, model: onnx.ModelProto, *, pad_key: str | None = None) -> list[Change]:
    """Compare what a model's metadata says now with its source and list what has to change.

    Parameters
    ----------
    reader : Reader
        The source.
    layout : Layout
        Where things lie in it.
    model : onnx.ModelProto
        The skeleton, as the caller has changed it.
    pad_key : str, optional
        Key of a model metadata entry whose length may be chosen so that the largest stretch that is copied keeps its
        place modulo 4096; nothing is padded without it, or if nothing else changes.

    Returns
    -------
    list of Change
        In ascending order, empty if nothing has to change.

    Raises
    ------
    TaggerError
        If the skeleton has more or fewer nodes than its source: a splice cannot write that.
    """
    planner = _Planner(reader, pad_key)
    planner.model(layout, model)
    segments = planner.edits.segments
    if segments and pad_key is not None:
        graph_at = next(found[2] for found in layout.top if found[0] == wire.GRAPH_OF_MODEL)
        return aligned(segments, reader.size, graph_at, planner.pads, pad_key)
    return segments


def _key(entry: onnx.StringStringEntryProto) -> tuple[Text, Text]:
    return entry.key, entry.value


def _common(held: list[onnx.StringStringEntryProto], wanted: list[onnx.StringStringEntryProto]) -> int:
    """Count the entries that two lists start with."""
    shorter = min(len(held), len(wanted))
    if held[:shorter] == wanted[:shorter]:
        return shorter
    return next(index for index in range(shorter) if held[index] != wanted[index])


def _node_entries(entries: Iterable[onnx.StringStringEntryProto]) -> bytes:
    """Encode metadata entries as fields of a node."""
    encoded = list(map(_ENCODE_ENTRY, entries))
    try:
        return b"".join([_NODE_ENTRY_HEADS[len(data)] + data for data in encoded])
    except IndexError:  # one of them is long
        return b"".join([METADATA_TAG_OF_NODE + length_prefix(len(data)) + data for data in encoded])


def _doc_string(text: Text) -> bytes:
    """Encode a doc_string as a field of a node."""
    data = _encoded(text)
    return _DOC_STRING_TAG + length_prefix(len(data)) + data


def _encoded(text: Text) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _text_differs(source: onnx.NodeProto, node: onnx.NodeProto) -> bool:
    """Whether the doc_string has to be written: an empty one that is there is not the same as none."""
    return source.doc_string != node.doc_string or source.HasField("doc_string") != node.HasField("doc_string")


class _Planner:
    """One comparison of a model with its source."""

    def __init__(self, reader: Reader, pad_key: str | None) -> None:
        self.reader = reader
        self.window = Window(reader)
        self.edits = Edits(reader)
        self.pad_key = pad_key
        self.pads: list[Field] = []

    def model(self, layout: Layout, model: onnx.ModelProto) -> None:
        if len(layout.functions) != len(model.functions):
            raise _reshaped(self.reader, "functions")
        held = [f for f in layout.top if f[0] == wire.METADATA_OF_MODEL]
        cut, added = _compare(held, map(self._entry, held), model.metadata_props)
        functions = iter(zip(layout.functions, model.functions, strict=True))
        for found in layout.top:
            number, _, _, before, value, end = found
            if number == wire.METADATA_OF_MODEL:
                self._model_entry(found, found in cut)
            elif number == wire.GRAPH_OF_MODEL:
                entered = self.edits.enter(before, value)
                self.nodes(layout.nodes, model.graph.node)
                self.edits.leave(entered, end)
            elif number == wire.FUNCTION_OF_MODEL:
                spans, function = next(functions)
                entered = self.edits.enter(before, value)
                self.nodes(spans, function.node, wire.NODE_OF_FUNCTION)
                self.edits.leave(entered, end)
        if added:
            data = b"".join(METADATA_TAG_OF_MODEL + varint(len(e)) + e for e in (a.SerializeToString() for a in added))
            self.edits.replace(self.reader.size, self.reader.size, data)

    def _model_entry(self, found: Field, cut: bool) -> None:
        if cut:
            self.edits.replace(found[2], found[5], b"")
        elif self.pad_key is not None and self._entry(found)[0] == self.pad_key:
            self.pads.append(found)
            self.edits.split()  # so that no segment spans it and it can still be cut

    def nodes(self, spans: array[int], nodes: Sequence[onnx.NodeProto], number: int = wire.NODE_OF_GRAPH) -> None:
        """Plan the nodes of one graph or function, in which their field has this number."""
        tag = number << 3 | wire.LENGTH
        if len(spans) != 3 * len(nodes):
            raise _reshaped(self.reader, "nodes")
        for first, last, together in runs(spans):
            places, some = spans[3 * first : 3 * last], nodes[first:last]
            encoded = compared(self.reader, places, some) if together else None
            if encoded is None:
                self._one_by_one(places, some)
            elif encoded:
                self.edits.put(places[0], places[-1], nodes, first, tag, encoded)

    def _one_by_one(self, spans: Sequence[int], nodes: Sequence[onnx.NodeProto]) -> None:
        read, replace, encode = self.window.read, self.edits.replace, ENCODE_NODE
        offsets = iter(spans)
        for before, value, end, node in zip(offsets, offsets, offsets, nodes, strict=True):
            # Nodes of up to this size are whole in the skeleton. Protobuf writes metadata behind all that most nodes
            # have, so those are what they were with entries more, or fewer, at the end: no field has to be looked at.
            if end - value <= SMALL_NODE:
                old, new = read(value, end), encode(node)
                if old == new:
                    continue
                if gains_metadata(old, new) or loses_metadata(old, new):
                    replace(before, end, length_prefix(len(new), len(old), value - before) + new)
                    continue
            self._compared(before, value, end, node)

    def _compared(self, before: int, value: int, end: int, node: onnx.NodeProto) -> None:
        """Plan a node that differs elsewhere than at its end: compare, and look at its fields only if needed."""
        source = self._source_node(value, end)
        if has_bodies(source) or not self._ended_anew(before, value, end, node, source):
            self._scanned(before, value, end, node, source)

    def _source_node(self, value: int, end: int) -> onnx.NodeProto:
        small = end - value <= SMALL_NODE
        data = self.window.read(value, end) if small else prune(self.window, wire.NODE, value, end)
        node: onnx.NodeProto = parse(onnx.NodeProto.FromString, data, self.reader, value)
        return node

    def _ended_anew(self, before: int, value: int, end: int, node: onnx.NodeProto, source: onnx.NodeProto) -> bool:
        """Plan a node of which nothing but the end changes; False, with nothing planned, if more does."""
        text = b""
        if _text_differs(source, node):
            if source.HasField("doc_string"):
                return False
            text = _doc_string(node.doc_string)
        held, wanted = list(source.metadata_props), list(node.metadata_props)
        same = _common(held, wanted)
        old, new = held[same:], wanted[same:]
        if not (old or new or text):
            return True
        tail = _node_entries(old)
        if old and not (set(map(_key, old)).isdisjoint(map(_key, new)) and self._ends_with(tail, value, end)):
            return False
        added = _node_entries(new) + text
        length = end - value
        new_length = length - len(tail) + len(added)
        self.edits.replace(before, value, length_prefix(new_length, length, value - before))
        self.edits.replace(end - len(tail), end, added)
        return True

    def _ends_with(self, tail: bytes, value: int, end: int) -> bool:
        """Tell whether the last fields of a node are exactly these."""
        if end - value > SMALL_NODE:
            return False
        data = self.window.read(value, end)
        if not data.endswith(tail):
            return False
        try:
            onnx.NodeProto.FromString(data[: -len(tail)])
        except DecodeError:  # the same bytes, but inside a field: what is before them is cut short
            return False
        return True

    def _scanned(self, before: int, value: int, end: int, node: onnx.NodeProto, source: onnx.NodeProto) -> None:
        """Plan a node field by field."""
        found = list(fields(self.window, value, end))
        held = self._messages(found, wire.METADATA_OF_NODE)
        attributes = self._messages(found, wire.ATTRIBUTE_OF_NODE)
        texts = self._messages(found, wire.DOC_STRING_OF_NODE)
        if len(attributes) != len(node.attribute):
            raise _reshaped(self.reader, "attributes")
        renewed, rest = _renewed(held, source.metadata_props, node.metadata_props)
        others = [(one, entry) for one, entry in zip(held, source.metadata_props, strict=True) if one not in renewed]
        cut, added = _compare([one for one, _ in others], (_key(entry) for _, entry in others), rest)
        bodies = iter(zip(node.attribute, source.attribute, strict=True))
        changed_text = _text_differs(source, node)
        dropped = not node.HasField("doc_string")
        entered = self.edits.enter(before, value)
        for one in found:
            if one[0] == wire.ATTRIBUTE_OF_NODE:
                self._attribute(one, *next(bodies))
            elif one in cut:
                self.edits.replace(one[2], one[5], b"")
            elif one in renewed:
                self.edits.replace(one[2], one[5], _node_entries([renewed[one]]))
            elif changed_text and one[0] == wire.DOC_STRING_OF_NODE and (one == texts[-1] or dropped):
                self._set_text(one, _encoded(node.doc_string), drop=dropped)
        tail = _node_entries(added) + (_doc_string(node.doc_string) if changed_text and not texts else b"")
        if tail:
            self.edits.replace(end, end, tail)
        self.edits.leave(entered, end)

    def _set_text(self, found: Field, text: bytes, *, drop: bool) -> None:
        _, _, at, before, value, end = found
        if drop and not text:
            self.edits.replace(at, end, b"")
        else:
            self.edits.replace(before, end, length_prefix(len(text), end - value, value - before) + text)

    def _attribute(self, found: Field, attribute: onnx.AttributeProto, source: onnx.AttributeProto) -> None:
        """Plan the bodies in one attribute of a node."""
        if (attribute.HasField("g"), len(attribute.graphs)) != (source.HasField("g"), len(source.graphs)):
            raise _reshaped(self.reader, "bodies")
        if not (attribute.HasField("g") or attribute.graphs):
            return
        _, _, _, before, value, end = found
        inside = list(fields(self.window, value, end))
        single = self._messages(inside, wire.GRAPH_OF_ATTRIBUTE)
        if len(single) > 1:
            raise broken(self.reader, single[1][2], "an attribute holds its graph twice")
        graphs = iter(attribute.graphs)
        entered = self.edits.enter(before, value)
        for one in inside:
            if one[0] == wire.GRAPH_OF_ATTRIBUTE:
                self._body(one, attribute.g)
            elif one[0] == wire.GRAPHS_OF_ATTRIBUTE:
                self._body(one, next(graphs))
        self.edits.leave(entered, end)

    def _body(self, found: Field, graph: onnx.GraphProto) -> None:
        _, _, _, before, value, end = found
        spans = array("Q")
        for one in self._messages(fields(self.window, value, end), wire.NODE_OF_GRAPH):
            spans.extend(one[3:6])
        entered = self.edits.enter(before, value)
        self.nodes(spans, graph.node)
        self.edits.leave(entered, end)

    def _messages(self, found: Iterable[Field], number: int) -> list[Field]:
        """Select the fields of one number, which must be length-delimited."""
        selected = [one for one in found if one[0] == number]
        for one in selected:
            if one[1] != wire.LENGTH:
                raise broken(self.reader, one[2], f"field {number} has wire type {one[1]} instead of {wire.LENGTH}")
        return selected

    def _entry(self, found: Field) -> tuple[Text, Text]:
        data = self.window.read(found[4], found[5])
        return _key(parse(onnx.StringStringEntryProto.FromString, data, self.reader, found[2]))


def _renewed(
    held: list[Field],
    source: Iterable[onnx.StringStringEntryProto],
    wanted: Iterable[onnx.StringStringEntryProto],
) -> tuple[dict[Field, onnx.StringStringEntryProto], list[onnx.StringStringEntryProto]]:
    """The entries that get another value where they stand, up to the first that is of another key; and the others."""
    renewed: dict[Field, onnx.StringStringEntryProto] = {}
    kept, old, new = list(wanted), list(source), list(wanted)
    for one, before, after in zip(held, old, new, strict=False):
        if before.key != after.key:
            break
        if before.value != after.value:
            renewed[one] = after
            kept.remove(after)
    return renewed, kept


def _compare(
    held: list[Field], keys: Iterable[tuple[Text, Text]], wanted: Iterable[onnx.StringStringEntryProto]
) -> tuple[set[Field], list[onnx.StringStringEntryProto]]:
    """Split into entries to cut and entries to append; equal entries are counted, and the first ones stay."""
    wanted = list(wanted)
    missing = Counter(map(_key, wanted))
    kept: Counter[tuple[Text, Text]] = Counter()
    cut = set()
    for found, key in zip(held, keys, strict=True):
        if missing[key] > 0:
            missing[key] -= 1
            kept[key] += 1
        else:
            cut.add(found)
    added = []
    for entry in wanted:
        key = _key(entry)
        if kept[key] > 0:
            kept[key] -= 1
        else:
            added.append(entry)
    return cut, added


def _reshaped(reader: Reader, what: str) -> TaggerError:
    return TaggerError(
        f"the number of {what} in the skeleton of {reader.name} is not that of the file; a splice writes metadata "
        "only, save a model with a changed graph through onnx"
    )
