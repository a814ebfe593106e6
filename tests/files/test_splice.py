"""Splices of random models, in memory: equal to what protobuf's API gives, and reversible byte for byte."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files import pruning, wire
from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes
from onnx_tagger.files.wire import MemoryReader, Window, fields, varint

Change = Callable[[onnx.ModelProto], None]

KEYS = ["namespace", "pkg.torch.a", "pkg.torch.b", "", "ключ"]
UNKNOWN = varint(1000 << 3 | wire.LENGTH) + b"\x03abc"

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def random_entries(rng: random.Random, entries: Any) -> None:
    for _ in range(rng.choice([0, 0, 1, 3])):
        entries.add(key=rng.choice(KEYS), value=rng.choice(["", "v", "/A/B.0", "x" * 200]))


def random_tensor(rng: random.Random, name: str) -> onnx.TensorProto:
    count = rng.choice([0, 1, 3, 400])
    tensor = onnx.TensorProto(name=name, dims=[count], data_type=onnx.TensorProto.FLOAT)
    if rng.random() < 0.5:
        tensor.raw_data = rng.randbytes(4 * count)
    else:
        tensor.float_data.extend(float(index) for index in range(count))
    return tensor


def random_nodes(rng: random.Random, nodes: Any, depth: int) -> None:
    for index in range(rng.choice([0, 1, 2, 5])):
        node: onnx.NodeProto = nodes.add(op_type="Op", name=f"n{index}" if rng.random() < 0.7 else "")
        node.input.extend(["a", "", "b" * rng.choice([1, 130])])
        random_entries(rng, node.metadata_props)
        if rng.random() < 0.4:
            node.doc_string = rng.choice(["", "text", "two\nlines" * 30])
        kind = rng.choice(["none", "ints", "tensor", "tensors", "sparse", "body", "bodies"])
        attribute = node.attribute.add(name=kind)
        if kind == "ints":
            attribute.ints.extend(range(rng.choice([2, 300])))
        elif kind == "tensor":
            attribute.t.CopyFrom(random_tensor(rng, "t"))
        elif kind == "tensors":
            attribute.tensors.extend([random_tensor(rng, "t0"), random_tensor(rng, "t1")])
        elif kind == "sparse":
            attribute.sparse_tensor.values.CopyFrom(random_tensor(rng, "v"))
        elif depth < 3 and kind == "body":
            random_graph(rng, attribute.g, depth + 1)
        elif depth < 3 and kind == "bodies":
            random_graph(rng, attribute.graphs.add(), depth + 1)
            node.attribute.add(name="i", i=1)
            random_graph(rng, attribute.graphs.add(), depth + 1)


def random_graph(rng: random.Random, graph: onnx.GraphProto, depth: int) -> None:
    graph.name = "graph"
    random_nodes(rng, graph.node, depth)
    graph.initializer.extend(random_tensor(rng, f"w{index}") for index in range(rng.choice([0, 1, 3])))


def random_model(rng: random.Random) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=10, producer_name="test")
    random_graph(rng, model.graph, 0)
    for index in range(rng.choice([0, 0, 1, 2])):
        function = model.functions.add(name=f"f{index}", domain="d")
        random_nodes(rng, function.node, 1)
        function.attribute_proto.add(name="default", t=random_tensor(rng, "t"))
    random_entries(rng, model.metadata_props)
    return model


def loosened(rng: random.Random, message: wire.Message, data: bytes) -> bytes:
    """Encode a message otherwise, with the same meaning: wider length prefixes and unknown fields."""
    out = bytearray()
    known = {wire.METADATA_OF_NODE, wire.DOC_STRING_OF_NODE} if message is wire.NODE else set()
    if message is wire.MODEL:
        known = {wire.METADATA_OF_MODEL}
    for number, _, at, before, value, end in fields(Window(MemoryReader(memoryview(data))), 0, len(data)):
        if number in message.children:
            inside = loosened(rng, message.children[number], data[value:end])
        elif number in known:
            inside = data[value:end]
        else:
            out += data[at:end]
            continue
        out += data[at:before] + varint(len(inside), len(varint(len(inside))) + rng.choice([0, 0, 1, 2])) + inside
    return bytes(out) + (UNKNOWN if rng.random() < 0.3 else b"")


@st.composite
def sources(draw: st.DrawFn) -> tuple[bytes, random.Random]:
    rng = random.Random(draw(st.integers(0, 2**32)))
    data = random_model(rng).SerializeToString()
    return (loosened(rng, wire.MODEL, data) if rng.random() < 0.6 else data), rng


def nodes_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from nodes_of(attribute.g.node)
            for graph in attribute.graphs:
                yield from nodes_of(graph.node)


def all_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    functions = [node for function in model.functions for node in nodes_of(function.node)]
    return [*nodes_of(model.graph.node), *functions]


def holders(model: onnx.ModelProto) -> list[Any]:
    """Return all that holds metadata: the model, then its nodes."""
    return [model, *all_nodes(model)]


def normal(model: onnx.ModelProto) -> onnx.ModelProto:
    """Entries in any order, an empty doc_string and none are the same thing."""
    for holder in holders(model):
        entries = sorted((entry.key, entry.value) for entry in holder.metadata_props)
        del holder.metadata_props[:]
        for key, value in entries:
            holder.metadata_props.add(key=key, value=value)
        if not holder.doc_string:
            holder.ClearField("doc_string")
    return model


def spliced(data: bytes, change: Change) -> bytes:
    skeleton = read_skeleton(data)
    change(skeleton.model)
    return splice_bytes(skeleton)


def any_change(seed: int) -> Change:
    """Return a change that does the same to a skeleton and to the whole model."""

    def change(model: onnx.ModelProto) -> None:
        rng = random.Random(seed)
        for holder in holders(model):
            dice = rng.random()
            if dice < 0.4:
                holder.metadata_props.add(key="pkg.onnx_tagger.tag", value="/A/B." + "9" * rng.randrange(300))
            if dice < 0.2 and isinstance(holder, onnx.NodeProto):
                holder.doc_string += "\nmore"
            if 0.3 < dice < 0.6:
                for index in reversed(range(len(holder.metadata_props))):
                    if rng.random() < 0.5:
                        del holder.metadata_props[index]
            if 0.6 < dice < 0.7 and isinstance(holder, onnx.NodeProto):
                holder.doc_string = ""
            if 0.7 < dice < 0.8 and len(holder.metadata_props) > 0:
                holder.metadata_props[0].value = "changed"

    return change


@relaxed
@given(sources(), st.integers(0, 2**32))
def test_a_splice_says_what_the_protobuf_api_says(source: tuple[bytes, random.Random], seed: int) -> None:
    data, _ = source
    expected = onnx.ModelProto.FromString(data)
    any_change(seed)(expected)
    assert normal(onnx.ModelProto.FromString(spliced(data, any_change(seed)))) == normal(expected)


@relaxed
@given(sources())
def test_without_a_change_every_byte_stays(source: tuple[bytes, random.Random]) -> None:
    assert spliced(source[0], lambda model: None) == source[0]


def set_text(holder: Any, text: str | None) -> None:
    if text is None:
        holder.ClearField("doc_string")
    else:
        holder.doc_string = text


@relaxed
@given(sources(), st.integers(0, 2**32))
def test_what_was_added_leaves_without_a_trace(source: tuple[bytes, random.Random], seed: int) -> None:
    data, _ = source
    added: dict[int, str | None] = {}

    def add(model: onnx.ModelProto) -> None:
        rng = random.Random(seed)
        for index, holder in enumerate(holders(model)):
            if rng.random() < 0.6:
                added[index] = holder.doc_string if holder.HasField("doc_string") else None
                for key in ("tag", "module"):
                    holder.metadata_props.add(key=f"pkg.onnx_tagger.{key}", value="m" * rng.randrange(200))
                if index and rng.random() < 0.5:
                    holder.doc_string += "\nonnx_tagger:a.b"

    def remove(model: onnx.ModelProto) -> None:
        for index, holder in enumerate(holders(model)):
            if index in added:
                for at in reversed(range(len(holder.metadata_props))):
                    if holder.metadata_props[at].key.startswith("pkg.onnx_tagger."):
                        del holder.metadata_props[at]
                set_text(holder, added[index])

    once = spliced(data, add)
    assert len(once) > len(data) or not added
    assert spliced(once, lambda model: None) == once
    assert spliced(once, remove) == data


@relaxed
@given(sources())
def test_payloads_are_left_out_and_nothing_else(source: tuple[bytes, random.Random]) -> None:
    whole = onnx.ModelProto.FromString(source[0])
    model = read_skeleton(source[0]).model
    for seen, full in zip(all_nodes(model), all_nodes(whole), strict=True):
        assert (seen.name, list(seen.metadata_props)) == (full.name, list(full.metadata_props))
    for tensor, full_tensor in zip(model.graph.initializer, whole.graph.initializer, strict=True):
        if full_tensor.ByteSize() <= pruning.SMALL - 10:
            assert tensor == full_tensor
        else:
            assert (tensor.name, tensor.dims) == (full_tensor.name, full_tensor.dims)
            assert tensor.ByteSize() < 100


@pytest.mark.parametrize("size", [10, 3000, 5000, 70_000, 300_000])
def test_nodes_of_any_size_are_found_again(size: int) -> None:
    model = onnx.ModelProto(ir_version=10)
    value = onnx.TensorProto(name="t", data_type=onnx.TensorProto.UINT8, dims=[size], raw_data=bytes(size))
    for index in range(6):
        node = model.graph.node.add(op_type="Op", name=f"n{index}")
        attribute = node.attribute.add(name="value")
        if index % 3 == 2:
            attribute.g.node.add(op_type="Constant").attribute.add(name="value", t=value)
            attribute.g.node.add(op_type="Neg").metadata_props.add(key="namespace", value="x" * 1500)
        else:
            attribute.t.CopyFrom(value)
        if index % 2:
            node.metadata_props.add(key="namespace", value="y")
    data = model.SerializeToString()

    def add(skeleton: onnx.ModelProto) -> None:
        for node in all_nodes(skeleton):
            node.metadata_props.add(key="pkg.onnx_tagger.tag", value="/A")

    def remove(skeleton: onnx.ModelProto) -> None:
        for node in all_nodes(skeleton):
            del node.metadata_props[-1]

    def replace(skeleton: onnx.ModelProto) -> None:
        for node in all_nodes(skeleton):
            node.metadata_props[-1].value = "/B/C"

    once, twice = spliced(data, add), spliced(spliced(data, add), replace)
    add(model)
    assert onnx.ModelProto.FromString(once) == model
    replace(model)
    assert onnx.ModelProto.FromString(twice) == model
    assert spliced(once, remove) == spliced(twice, remove) == data


def test_an_entry_inside_another_field_is_not_taken_for_an_entry() -> None:
    # The last field is unknown, and its value ends like the entry that goes.
    odd = ENTRY + b"\x22\x01N" + varint(1000 << 3 | wire.LENGTH) + varint(len(ENTRY)) + ENTRY

    def change(model: onnx.ModelProto) -> None:
        del model.graph.node[0].metadata_props[:]

    assert spliced(node_model(odd), change) == node_model(odd[len(ENTRY) :])


def test_a_long_entry_is_appended() -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].metadata_props.add(key="k", value="v" * 5000)

    after = onnx.ModelProto.FromString(spliced(node_model(b"\x22\x01N"), change))
    assert after.graph.node[0].metadata_props[0].value == "v" * 5000


def small_model() -> bytes:
    model = onnx.ModelProto(ir_version=10)
    body = onnx.GraphProto(name="b", node=[onnx.NodeProto(op_type="Neg", doc_string="d")])
    owner = model.graph.node.add(op_type="If", name="i")
    owner.attribute.add(name="then_branch", g=body, type=onnx.AttributeProto.GRAPH)
    owner.metadata_props.add(key="k", value="v")
    model.graph.initializer.add(name="w", raw_data=bytes(1100), data_type=onnx.TensorProto.UINT8, dims=[1100])
    model.functions.add(name="f", domain="d", node=[onnx.NodeProto(op_type="Abs")])
    model.metadata_props.add(key="k", value="v")
    return bytes(model.SerializeToString())


def tag_everything(model: onnx.ModelProto) -> None:
    for holder in holders(model):
        del holder.metadata_props[:]
        holder.metadata_props.add(key="pkg.onnx_tagger.tag", value="/A")
        holder.doc_string = "d2"


def survives(data: bytes) -> bool:
    """Read and splice; True if that works, False if it is refused with a sentence."""
    try:
        spliced(data, tag_everything)
    except TaggerError:
        return False
    return True


def test_a_model_cut_anywhere_is_refused_or_read() -> None:
    data = small_model()
    read = [length for length in range(len(data)) if survives(data[:length])]
    # Cut between two of the model's own fields, it is a whole model that ends early.
    assert all(length in {found[5] for found in read_skeleton(data).layout.top} for length in read)
    assert survives(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_a_damaged_model_is_refused_or_read(damage: list[tuple[int, int]], keep_length: bool) -> None:
    data = bytearray(small_model())
    for at, value in damage:
        if keep_length:
            data[at % len(data)] = value
        else:
            data.insert(at % len(data), value)
    survives(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    survives(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 a zip archive", "no ONNX model"),
        (b'{"json": true}', "no ONNX model"),
        (b"\x08\x0a", "a model without a graph"),
        (b"\x12\x01a", "something other than a model"),
        (b"\x38\x01", "field 7 of ModelProto is not a message"),
        (b"\x3a\x00\x3a\x00", "a second graph"),
        (b"\x3a\x02\x08\x01", "field 1 of GraphProto is not a message"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(FileFormatError, match=what):
        read_skeleton(data)


def node_model(node: bytes) -> bytes:
    graph = b"\x0a" + varint(len(node)) + node
    return b"\x3a" + varint(len(graph)) + graph


def test_a_body_given_twice_is_refused() -> None:
    body = onnx.GraphProto(node=[onnx.NodeProto(op_type="Neg")]).SerializeToString()
    attribute = 2 * (b"\x32" + varint(len(body)) + body)
    data = node_model(b"\x2a" + varint(len(attribute)) + attribute)
    with pytest.raises(FileFormatError, match="graph twice"):
        spliced(data, tag_everything)


def doc(text: bytes) -> bytes:
    return b"\x32" + varint(len(text)) + text


ENTRY = b"\x4a\x06\x0a\x01k\x12\x01v"


@pytest.mark.parametrize(
    # Without a text the field goes; an empty text stays as an empty field.
    ("before", "text", "keep_entry", "after"),
    [
        (b"\x22\x01N" + doc(b"old") + ENTRY, "new one", True, b"\x22\x01N" + doc(b"new one") + ENTRY),
        (b"\x22\x01N" + doc(b"old") + ENTRY, "", True, b"\x22\x01N" + doc(b"") + ENTRY),
        (b"\x22\x01N" + doc(b"old") + ENTRY, None, True, b"\x22\x01N" + ENTRY),
        (b"\x22\x01N" + ENTRY + doc(b"old"), "", True, b"\x22\x01N" + ENTRY + doc(b"")),
        (b"\x22\x01N" + ENTRY + doc(b"old"), None, True, b"\x22\x01N" + ENTRY),
        (b"\x22\x01N" + ENTRY + doc(b"old"), None, False, b"\x22\x01N"),
        (b"\x22\x01N", "", False, b"\x22\x01N" + doc(b"")),
        (doc(b"one") + doc(b"two") + b"\x22\x01N", None, False, b"\x22\x01N"),
        (b"\x22\x01N" + ENTRY, "new", True, b"\x22\x01N" + ENTRY + doc(b"new")),
        (b"\x22\x01N", "new", False, b"\x22\x01N" + doc(b"new")),
        (doc(b"one") + doc(b"two") + b"\x22\x01N", "new", False, doc(b"one") + doc(b"new") + b"\x22\x01N"),
        (ENTRY + doc(b"one") + doc(b"two"), "", True, ENTRY + doc(b"one") + doc(b"")),
        (b"\x22\x01N\x32\x82\x00ab", "abc", False, b"\x22\x01N\x32\x83\x00abc"),
    ],
)
def test_a_doc_string_changes_where_it_is(before: bytes, text: str | None, keep_entry: bool, after: bytes) -> None:
    def change(model: onnx.ModelProto) -> None:
        set_text(model.graph.node[0], text)
        if not keep_entry:
            del model.graph.node[0].metadata_props[:]

    assert spliced(node_model(before), change) == node_model(after)


def test_entries_that_stay_keep_their_bytes_and_place() -> None:
    odd = b"\x4a\x87\x00\x12\x02v1\x0a\x01k"  # a wide length, value before key
    node = odd + b"\x22\x01N" + ENTRY

    def change(model: onnx.ModelProto) -> None:
        entries = model.graph.node[0].metadata_props
        del entries[:]
        entries.add(key="new", value="")
        entries.add(key="k", value="v1")

    assert spliced(node_model(node), change) == node_model(odd + b"\x22\x01N" + b"\x4a\x07\x0a\x03new\x12\x00")


def test_text_that_is_not_utf8_is_copied() -> None:
    node = b"\x22\x01N" + doc(b"\xff") + b"\x4a\x06\x0a\x01\xfe\x12\x01v"

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].metadata_props.add(key="a", value="b")

    assert spliced(node_model(node), lambda model: None) == node_model(node)
    assert spliced(node_model(node), change) == node_model(node + b"\x4a\x06\x0a\x01a\x12\x01b")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_a_source(kind: Callable[[bytes], bytes]) -> None:
    assert splice_bytes(read_skeleton(kind(small_model()))) == small_model()
    with pytest.raises(FileFormatError, match="is empty"):
        read_skeleton(kind(b""))


@pytest.mark.parametrize("what", ["nodes", "attributes", "bodies", "functions"])
def test_a_changed_graph_is_not_spliced(what: str) -> None:
    def change(model: onnx.ModelProto) -> None:
        if what == "nodes":
            model.graph.node.add(op_type="Neg")
        elif what == "attributes":
            model.graph.node[0].attribute.add(name="more")
        elif what == "bodies":
            model.graph.node[0].attribute[0].graphs.add()
        else:
            del model.functions[:]

    with pytest.raises(TaggerError, match=f"number of {what}"):
        spliced(small_model(), change)


def test_an_entry_keeps_its_place_when_its_value_changes() -> None:
    before = onnx.ModelProto(ir_version=10)
    node = before.graph.node.add(op_type="Op")
    for key in ("a", "b", "c"):
        node.metadata_props.add(key=key, value=f"old {key}")
    data = before.SerializeToString()
    skeleton = read_skeleton(MemoryReader(data))
    skeleton.model.graph.node[0].metadata_props[1].value = "a new and longer value"
    skeleton.model.graph.node[0].metadata_props.add(key="d", value="more")
    made = bytes(splice_bytes(skeleton))
    found = onnx.ModelProto.FromString(made)
    values = [(entry.key, entry.value) for entry in found.graph.node[0].metadata_props]
    assert values == [("a", "old a"), ("b", "a new and longer value"), ("c", "old c"), ("d", "more")]
    again = read_skeleton(MemoryReader(made))
    again.model.graph.node[0].metadata_props[1].value = "old b"
    del again.model.graph.node[0].metadata_props[3]
    assert bytes(splice_bytes(again)) == data
