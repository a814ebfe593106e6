"""The wire format: numbers as in onnx.proto, varints, the walk over fields, and messages without payloads."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import onnx
import pytest
from google.protobuf.descriptor import Descriptor  # type: ignore[import-untyped]
from hypothesis import given, strategies as st

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.pruning import prune
from onnx_tagger.files.wire import MemoryReader, Window, fields, length_prefix, open_file, varint


def walk(data: bytes) -> list[wire.Field]:
    return list(fields(Window(MemoryReader(memoryview(data))), 0, len(data)))


def reachable(message: wire.Message, seen: dict[str, wire.Message]) -> dict[str, wire.Message]:
    if message.name not in seen:
        seen[message.name] = message
        for child in message.children.values():
            reachable(child, seen)
    return seen


def test_the_schema_descends_into_every_field_that_can_hold_tensors_or_nodes() -> None:
    schema = reachable(wire.MODEL, {})
    descriptors: dict[str, Descriptor] = {name: getattr(onnx, name).DESCRIPTOR for name in schema}
    for name, message in schema.items():
        held = {
            field.number: field.message_type.name
            for field in descriptors[name].fields
            if field.message_type is not None and field.message_type.name in schema
        }
        assert {number: child.name for number, child in message.children.items()} == held


def test_field_numbers_are_those_of_onnx_proto() -> None:
    def number(kind: type, name: str) -> int:
        return int(kind.DESCRIPTOR.fields_by_name[name].number)  # type: ignore[attr-defined]

    assert number(onnx.ModelProto, "graph") == wire.GRAPH_OF_MODEL
    assert number(onnx.ModelProto, "functions") == wire.FUNCTION_OF_MODEL
    assert number(onnx.ModelProto, "metadata_props") == wire.METADATA_OF_MODEL
    assert number(onnx.GraphProto, "node") == wire.NODE_OF_GRAPH
    assert number(onnx.GraphProto, "initializer") == wire.INITIALIZER_OF_GRAPH
    assert number(onnx.FunctionProto, "node") == wire.NODE_OF_FUNCTION
    assert number(onnx.NodeProto, "attribute") == wire.ATTRIBUTE_OF_NODE
    assert number(onnx.NodeProto, "doc_string") == wire.DOC_STRING_OF_NODE
    assert number(onnx.NodeProto, "metadata_props") == wire.METADATA_OF_NODE
    assert number(onnx.AttributeProto, "g") == wire.GRAPH_OF_ATTRIBUTE
    assert number(onnx.AttributeProto, "graphs") == wire.GRAPHS_OF_ATTRIBUTE
    assert number(onnx.TensorProto, "raw_data") == wire.RAW_DATA_OF_TENSOR
    payload = {"float_data", "int32_data", "string_data", "int64_data", "raw_data", "double_data", "uint64_data"}
    assert {number(onnx.TensorProto, name) for name in payload} == wire.TENSOR.payload
    assert (number(onnx.StringStringEntryProto, "key"), number(onnx.StringStringEntryProto, "value")) == (1, 2)


@given(st.integers(0, 2**64 - 1), st.integers(1, 10))
def test_a_varint_of_any_width_reads_back(value: int, width: int) -> None:
    data = varint(value, width)
    assert len(data) == max(width, len(varint(value)))
    assert walk(b"\x08" + data) == [(1, wire.VARINT, 0, 1, 1, 1 + len(data))]


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.integers(0, 3))
def test_a_length_prefix_returns_to_its_old_bytes(old: int, new: int, excess: int) -> None:
    before = varint(old, len(varint(old)) + excess)
    if len(before) > 5 or len(varint(new)) + excess > 5:
        return  # wider than readers accept
    after = length_prefix(new, old, len(before))
    assert len(after) == len(varint(new)) + excess
    assert length_prefix(old, new, len(after)) == before


def test_a_length_prefix_never_becomes_wider_than_readers_accept() -> None:
    assert len(length_prefix(300, 5, 5)) == 5


def test_all_wire_types_of_onnx_are_walked() -> None:
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25" + bytes(4)
    assert [(number, kind, data[value:end]) for number, kind, _, _, value, end in walk(data)] == [
        (1, wire.VARINT, b"\x96\x01"),
        (2, wire.FIXED64, bytes(8)),
        (3, wire.LENGTH, b"hi"),
        (4, wire.FIXED32, bytes(4)),
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x0a\x05ab", "beyond the end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "beyond the end"),
        (b"\x08", "beyond the end"),
        (b"\x08\x80", "beyond the end"),
        (b"\x11\x00", "beyond the end"),
        (b"\x08" + b"\x80" * 10 + b"\x00", "ten bytes"),
        (b"\x80" * 11, "ten bytes"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x0e", "wire type 6"),
        (b"\x00\x00", "field number 0"),
        (b"\xf8\xff\xff\xff\xff\x01\x00", "field number"),
    ],
)
def test_damage_is_named_with_its_place(data: bytes, what: str) -> None:
    with pytest.raises(FileFormatError, match=f"at byte [0-9]+ .*{what}"):
        walk(data)


def test_a_field_that_leaves_its_message_is_damage_even_inside_the_file() -> None:
    data = b"\x0a\x02\x0a\x03abcdef"
    with pytest.raises(FileFormatError, match="beyond its message, which ends at byte 4"):
        list(fields(Window(MemoryReader(memoryview(data))), 2, 4))


@given(st.lists(st.integers(0, 9000), max_size=40))
def test_a_walk_sees_every_field_whatever_the_window(sizes: list[int]) -> None:
    data = b"".join(b"\x0a" + varint(size) + bytes([index % 251]) * size for index, size in enumerate(sizes))
    found = walk(data)
    assert [end - value for _, _, _, _, value, end in found] == sizes
    assert all(data[value:end] == bytes([index % 251]) * (end - value) for index, (*_, value, end) in enumerate(found))


def large_tensor(name: str) -> onnx.TensorProto:
    return onnx.TensorProto(name=name, data_type=1, dims=[64, 64], raw_data=bytes(64 * 64 * 4))


def test_a_pruned_graph_keeps_all_but_the_payloads() -> None:
    graph = onnx.GraphProto(name="g", initializer=[large_tensor("w"), onnx.TensorProto(name="s", raw_data=b"1234")])
    graph.sparse_initializer.add(values=large_tensor("v"), indices=large_tensor("i"))
    node = graph.node.add(op_type="If", name="n")
    node.attribute.add(name="body", g=onnx.GraphProto(initializer=[large_tensor("b")]))
    node.attribute.add(name="value", t=large_tensor("t"))
    node.attribute.add(name="values", tensors=[large_tensor("t0"), onnx.TensorProto(name="t1", raw_data=b"1")])
    data = graph.SerializeToString()
    nodes = array("Q")
    pruned = prune(Window(MemoryReader(memoryview(data))), wire.GRAPH, 0, len(data), record={1: nodes})

    expected = onnx.GraphProto.FromString(data)
    body, value, values = expected.node[0].attribute
    sparse = expected.sparse_initializer[0]
    for tensor in (expected.initializer[0], sparse.values, sparse.indices, body.g.initializer[0], value.t):
        tensor.ClearField("raw_data")
    values.tensors[0].ClearField("raw_data")
    assert onnx.GraphProto.FromString(pruned) == expected
    assert len(pruned) < 400
    assert data[nodes[1] : nodes[2]] == node.SerializeToString()


def test_nesting_without_end_is_refused() -> None:
    inner = onnx.GraphProto(doc_string="x" * 5000).SerializeToString()
    for _ in range(40):
        attribute = b"\x32" + varint(len(inner)) + inner
        node = b"\x2a" + varint(len(attribute)) + attribute
        inner = b"\x0a" + varint(len(node)) + node
    with pytest.raises(FileFormatError, match="more than 100 deep"):
        prune(Window(MemoryReader(memoryview(inner))), wire.GRAPH, 0, len(inner))


def test_only_readable_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, what in [
        (tmp_path / "none", "cannot be opened: No such file"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "nul\0", "cannot be opened: (open: )?embedded null"),
    ]:
        with pytest.raises(FileFormatError, match=what), open_file(path):
            pass


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    with open_file(path) as reader:
        os.truncate(path, 10)
        with pytest.raises(TaggerError, match="became shorter"):
            reader.read_at(0, 50)
