"""Splices of messages that hold any field of onnx.proto, in any encoding that protobuf accepts, beside protobuf's API.

The messages are made from the descriptors, so a field that onnx adds is covered as soon as it is there.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import onnx
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings, strategies as st

from onnx_tagger.errors import FileFormatError
from onnx_tagger.files import pruning, wire
from onnx_tagger.files.external import most_external, tensors_of
from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes
from onnx_tagger.files.wire import MemoryReader, Window, fields, varint
from onnx_tagger.model import metadata

relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
randoms = st.integers(0, 2**32).map(random.Random)

# Some messages are all but certain in a model, or there would be little to splice.
LIKELY = {("ModelProto", "graph"), ("GraphProto", "node"), ("ModelProto", "functions"), ("FunctionProto", "node")}
LIKELY |= {("NodeProto", "attribute"), ("NodeProto", "metadata_props"), ("AttributeProto", "g")}
MOST_DEEP = 12

TEXTS = ["", "x", "pkg.torch.onnx.namespace", "ключ", "a" * 130]
NUMBERS = {
    FieldDescriptor.TYPE_INT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    FieldDescriptor.TYPE_INT64: [0, 1, -1, 300, 2**63 - 1, -(2**63)],
    FieldDescriptor.TYPE_UINT64: [0, 1, 2**64 - 1],
    FieldDescriptor.TYPE_FLOAT: [0.0, -1.5, float("inf")],
    FieldDescriptor.TYPE_DOUBLE: [0.0, 2.5, float("-inf")],
}
WIRE_OF = {
    FieldDescriptor.TYPE_INT32: wire.VARINT,
    FieldDescriptor.TYPE_INT64: wire.VARINT,
    FieldDescriptor.TYPE_UINT64: wire.VARINT,
    FieldDescriptor.TYPE_ENUM: wire.VARINT,
    FieldDescriptor.TYPE_FLOAT: wire.FIXED32,
    FieldDescriptor.TYPE_DOUBLE: wire.FIXED64,
}


def value_of(rng: random.Random, field: FieldDescriptor) -> Any:
    if field.type in NUMBERS:
        return rng.choice(NUMBERS[field.type])
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(TEXTS)
    assert field.type == FieldDescriptor.TYPE_BYTES
    return rng.choice([b"", b"\xff\x00", b"w" * 1500])


def fill(rng: random.Random, message: Any, depth: int = 0) -> None:
    """Set any of a message's fields, missing ones, empty ones and repeated ones among them."""
    kind: Descriptor = message.DESCRIPTOR
    for field in kind.fields:
        chance = 0.9 if (kind.name, field.name) in LIKELY else 0.25
        if rng.random() > chance / (1 + depth / 6) or (field.message_type is not None and depth >= MOST_DEEP):
            continue
        if field.is_repeated:
            for _ in range(rng.choice([0, 1, 1, 2])):
                if field.message_type is not None:
                    fill(rng, getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(value_of(rng, field))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            fill(rng, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, value_of(rng, field))


def unknown(rng: random.Random) -> bytes:
    """A field that onnx.proto does not have, of any wire type that is no group."""
    number = rng.choice([900, 2**20, 2**29 - 1])
    kind, value = rng.choice(
        [
            (wire.VARINT, varint(2**64 - 1)),
            (wire.VARINT, varint(0, 10)),
            (wire.FIXED64, b"\xff" * 8),
            (wire.FIXED32, b"\x00" * 4),
            (wire.LENGTH, varint(3, 5) + b"\x4a\x01\x0b"),
            (wire.LENGTH, b"\x00"),
        ]
    )
    return varint(number << 3 | kind) + value


def known_field(rng: random.Random, kind: Descriptor, data: bytes, found: wire.Field) -> bytes:
    """One field, written otherwise: a wider tag, length or number; what it holds, too."""
    number, form, _, _, value, end = found
    field = kind.fields_by_number[number]
    inside = data[value:end]
    tag = varint(number << 3 | form)
    tag = varint(number << 3 | form, len(tag) + rng.choice([0, 0, 0, 1]))
    if form == wire.VARINT:
        plain = sum((byte & 0x7F) << 7 * at for at, byte in enumerate(inside))
        return tag + varint(plain, rng.choice([1, len(inside), 10]))
    if form != wire.LENGTH:
        return tag + inside
    if field.message_type is not None:
        inside = scrambled(rng, field.message_type, inside)
    # Readers accept five bytes; one that has grown to them says no more how wide it was.
    width = len(varint(len(inside))) + rng.choice([0, 0, 1, 2])
    return tag + varint(len(inside), width) + inside


def overruled(rng: random.Random, kind: Descriptor, number: int) -> bytes:
    """An earlier value of a field that has one value: the last one counts."""
    field = kind.fields_by_number[number]
    if field.is_repeated or field.message_type is not None or rng.random() < 0.8:
        return b""
    holder = GetMessageClass(kind)()
    setattr(holder, field.name, value_of(rng, field))
    encoded: bytes = holder.SerializeToString()
    return encoded


def packed(kind: Descriptor, number: int, parts: list[bytes], forms: list[int]) -> list[bytes]:
    """A list of numbers in one field, as protobuf may write and must read it."""
    field = kind.fields_by_number[number]
    if not field.is_repeated or field.type not in WIRE_OF or WIRE_OF[field.type] not in forms:
        return parts
    walked = (next(fields(Window(MemoryReader(memoryview(part))), 0, len(part))) for part in parts)
    inside = b"".join(part[found[4] :] for part, found in zip(parts, walked, strict=True))
    return [varint(number << 3 | wire.LENGTH) + varint(len(inside)) + inside]


def scrambled(rng: random.Random, kind: Descriptor, data: bytes) -> bytes:
    """The same message in another encoding: fields in another order, wider numbers, unknown and overruled fields."""
    by_number: dict[int, list[bytes]] = defaultdict(list)
    forms: dict[int, list[int]] = defaultdict(list)
    for found in fields(Window(MemoryReader(memoryview(data))), 0, len(data)):
        by_number[found[0]].append(known_field(rng, kind, data, found))
        forms[found[0]].append(found[1])
    queues = []
    for number, parts in by_number.items():
        kept = packed(kind, number, parts, forms[number]) if rng.random() < 0.2 else parts
        queues.append([part for part in (overruled(rng, kind, number), *kept) if part])
    queues += [[unknown(rng)] for _ in range(rng.choice([0, 0, 1, 2]))]
    out = b""
    while queues:
        queue = rng.choice(queues)
        out += queue.pop(0)
        queues = [left for left in queues if left]
    return out


def made(rng: random.Random) -> bytes:
    model = onnx.ModelProto(ir_version=10)
    fill(rng, model)
    model.graph.SetInParent()
    data: bytes = model.SerializeToString()
    return scrambled(rng, model.DESCRIPTOR, data) if rng.random() < 0.7 else data


def messages(message: Any) -> Iterator[Any]:
    """A message and all that it holds."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                yield from messages(inner)


def nodes_of(graph: Any) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes_of(attribute.g)
            for body in attribute.graphs:
                yield from nodes_of(body)


def holders(model: onnx.ModelProto) -> list[Any]:
    """What a splice writes to: the model and its nodes."""
    return [model, *nodes_of(model.graph), *(node for function in model.functions for node in nodes_of(function))]


def changed(seed: int) -> Callable[[onnx.ModelProto], None]:
    """A change of metadata and doc strings, the same for a skeleton and for the whole model."""

    def change(model: onnx.ModelProto) -> None:
        rng = random.Random(seed)
        for holder in holders(model):
            if rng.random() < 0.6:
                holder.metadata_props.add(key="pkg.onnx_tagger.tag", value=rng.choice(["", "/A/B.0", "t" * 3000]))
            if holder.metadata_props and rng.random() < 0.3:
                del holder.metadata_props[rng.randrange(len(holder.metadata_props))]
            if isinstance(holder, onnx.NodeProto) and rng.random() < 0.2:
                holder.doc_string += "\nonnx_tagger:a.b"

    return change


def sorted_entries(model: onnx.ModelProto) -> onnx.ModelProto:
    """Metadata has no order."""
    for holder in holders(model):
        entries = sorted((entry.key, entry.value) for entry in holder.metadata_props)
        del holder.metadata_props[:]
        for key, value in entries:
            holder.metadata_props.add(key=key, value=value)
    return model


def spliced(data: bytes, change: Callable[[onnx.ModelProto], None]) -> bytes:
    skeleton = read_skeleton(data)
    change(skeleton.model)
    return splice_bytes(skeleton)


@relaxed
@given(randoms)
def test_another_encoding_is_the_same_message(rng: random.Random) -> None:
    """What the other tests build on."""
    model = onnx.ModelProto()
    fill(rng, model)
    again = onnx.ModelProto.FromString(scrambled(rng, model.DESCRIPTOR, model.SerializeToString()))
    for message in messages(again):
        message.DiscardUnknownFields()
    assert again == model


@relaxed
@given(randoms)
def test_a_skeleton_lacks_payloads_and_nothing_else(rng: random.Random) -> None:
    data = made(rng)
    whole, model = onnx.ModelProto.FromString(data), read_skeleton(data).model
    for one in (whole, model):
        for message in messages(one):
            if isinstance(message, onnx.TensorProto):
                for number in wire.TENSOR.payload:
                    message.ClearField(message.DESCRIPTOR.fields_by_number[number].name)
    assert model == whole


@relaxed
@given(randoms)
def test_no_tensor_with_external_data_goes_uncounted(rng: random.Random) -> None:
    data = made(rng)
    model = onnx.ModelProto.FromString(data)
    elsewhere = [one for one in tensors_of(model) if one.data_location == onnx.TensorProto.EXTERNAL]
    assert len(elsewhere) == sum(getattr(one, "data_location", 0) for one in messages(model))
    assert most_external(data) >= len(elsewhere)


@relaxed
@given(randoms, st.integers(0, 2**32))
def test_a_splice_says_what_the_protobuf_api_says(rng: random.Random, seed: int) -> None:
    data = made(rng)
    expected = onnx.ModelProto.FromString(data)
    changed(seed)(expected)
    found = onnx.ModelProto.FromString(spliced(data, changed(seed)))
    assert sorted_entries(found) == sorted_entries(expected)


@relaxed
@given(randoms)
def test_what_tagging_adds_leaves_without_a_trace(rng: random.Random) -> None:
    data = made(rng)
    tag = metadata.Tag("a.b", "/A/B.b", metadata.Source.MATCHED)

    def clear(model: onnx.ModelProto) -> None:
        for node in holders(model)[1:]:
            metadata.clear_node(node, ())
        metadata.clear_model(model)

    def write(model: onnx.ModelProto) -> None:
        clear(model)
        for node in holders(model)[1:]:
            metadata.write_node(node, tag, ())
        metadata.write_model(model, "1", "", ())

    once = spliced(data, write)
    assert spliced(once, write) == once
    assert spliced(once, clear) == data


GROUP = [varint(1000 << 3 | 3) + varint(1000 << 3 | 4), b"\x0b\x0c", varint(1000 << 3 | 4)]


@relaxed
@given(randoms, st.sampled_from(GROUP))
def test_groups_are_refused_wherever_the_walk_looks(rng: random.Random, group: bytes) -> None:
    """Protobuf's groups end with a tag of their own and have no length; ONNX has none."""
    node = onnx.NodeProto(op_type="Op")
    fill(rng, node)
    inside = node.SerializeToString()
    # Beyond this size a node is walked field by field, even if it only has to be read.
    inside += b"\x32" + varint(pruning.SMALL_NODE) + b"d" * pruning.SMALL_NODE
    places = [end for *_, end in fields(Window(MemoryReader(memoryview(inside))), 0, len(inside))]
    at = rng.choice([0, *places])
    inside = inside[:at] + group + inside[at:]
    graph = b"\x0a" + varint(len(inside)) + inside
    for data in (b"\x3a" + varint(len(graph)) + graph, b"\x3a\x00" + group):
        with pytest.raises(FileFormatError, match=r"wire type [34]"):
            read_skeleton(data)
