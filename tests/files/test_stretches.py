"""Nodes compared many at a time, beside the plan that looks at each: every byte alike, in any source."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import onnx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from onnx_tagger.files import edits, pruning, splice, stretches, wire
from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes
from onnx_tagger.files.stretches import runs
from onnx_tagger.files.wire import MemoryReader, Window, fields, varint
from onnx_tagger.model import metadata

relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
randoms = st.integers(0, 2**32).map(random.Random)

Change = Callable[[onnx.ModelProto], None]

TAG = metadata.Tag("a.b", "/A/B.b", metadata.Source.MATCHED)


def one_by_one(spans: array[int]) -> Iterator[tuple[int, int, bool]]:
    yield 0, len(spans) // 3, False


@contextmanager
def carefully() -> Iterator[None]:
    with mock.patch.object(splice, "runs", one_by_one):
        yield


@contextmanager
def in_small_parts(rng: random.Random) -> Iterator[None]:
    """Let all that is done many at a time be done a few at a time, so that small models have many seams."""
    with (
        mock.patch.object(stretches, "_MOST", rng.choice([4, 5, 7])),
        mock.patch.object(stretches, "_LOOKED_AT", rng.choice([6, 1 << 14])),
        mock.patch.object(stretches, "_HELD", rng.choice([0, 300, 1 << 18])),
        mock.patch.object(stretches, "_FEW", rng.choice([1, 2, 4])),
        mock.patch.object(pruning, "_PART", rng.choice([1, 100, 1 << 16])),
        mock.patch.object(wire, "_FIRST_WINDOW", rng.choice([64, 4096])),
        mock.patch.object(wire, "_LARGEST_WINDOW", rng.choice([256, 1 << 16])),
        mock.patch.object(edits, "_MERGE", rng.choice([0, 1 << 16])),
    ):
        yield


def node_of(rng: random.Random) -> bytes:
    """A node as protobuf writes it, or nearly so."""
    node = onnx.NodeProto(op_type="Op", name="n" * rng.choice([0, 1, 100, 130, 2050]), input=["a", ""])
    if rng.random() < 0.3:
        node.doc_string = rng.choice(["", "text"])
    if rng.random() < 0.3:
        node.attribute.add(name="t", t=onnx.TensorProto(name="w", raw_data=bytes(rng.choice([10, 2000, 5000]))))
    if rng.random() < 0.1:
        node.attribute.add(name="g").g.node.add(op_type="Inner")
    for _ in range(rng.choice([0, 0, 1, 3])):
        node.metadata_props.add(key=rng.choice(["k", "namespace"]), value=rng.choice(["", "v", "x" * 200]))
    if rng.random() < 0.2:
        metadata.write_node(node, TAG, ())
    data: bytes = node.SerializeToString()
    unusual = rng.choice(["", "", "", "", "unknown", "late name", "wide", "merged", "said again", "devices"])
    if unusual == "unknown":
        data += varint(1000 << 3 | wire.LENGTH) + b"\x03abc"
    elif unusual == "late name":
        data += b"\x1a\x01m"
    elif unusual == "wide":
        data = b"\x1a\x83\x80\x00abc" + data
    elif unusual == "merged":
        data += b"\x4a\x05\x0a\x01k\x12\x00" + b"\x32\x00"
    elif unusual == "said again":
        data += field(9, onnx.StringStringEntryProto(key="pkg.onnx_tagger.tag", value="/A").SerializeToString())
        data += field(4, b"Op")
    elif unusual == "devices":
        data += field(10, field(1, b"devices"))
    return data


def nodes_of(rng: random.Random, number: int) -> bytes:
    """Nodes that follow each other, seldom with something between them or a length that is too wide."""
    out = b""
    for _ in range(rng.choice([0, 1, 3, 8, 20])):
        node = node_of(rng)
        odd = rng.random() < 0.1
        out += varint(number << 3 | wire.LENGTH, 2 if odd and rng.random() < 0.5 else 1)
        out += varint(len(node), rng.choice([1, 3, 4]) if odd else 1) + node
        if rng.random() < 0.05:
            out += varint(1000 << 3 | wire.VARINT) + b"\x01"
    return out


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | wire.LENGTH) + varint(len(data)) + data


def model_of(rng: random.Random) -> bytes:
    tensor = onnx.TensorProto(name="w", dims=[1000], data_type=1, raw_data=bytes(4000)).SerializeToString()
    parts = [nodes_of(rng, 1), field(2, b"graph"), field(5, tensor), nodes_of(rng, 1)]
    if rng.random() < 0.3:
        rng.shuffle(parts)
    functions = [field(25, field(1, b"f%d" % at) + nodes_of(rng, 7)) for at in range(rng.choice([0, 0, 1, 2]))]
    return b"\x08\x0a" + field(7, b"".join(parts)) + b"".join(functions)


def holders(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [*model.graph.node, *(node for function in model.functions for node in function.node)]


def write(model: onnx.ModelProto) -> None:
    for node in holders(model):
        metadata.write_node(node, TAG, ())


def clear(model: onnx.ModelProto) -> None:
    for node in holders(model):
        metadata.clear_node(node, ())


def write_anew(model: onnx.ModelProto) -> None:
    clear(model)
    write(model)


def some(seed: int) -> Change:
    """A change of anything that a splice writes, on some nodes or on most."""

    def change(model: onnx.ModelProto) -> None:
        rng = random.Random(seed)
        share = rng.choice([0.1, 0.9])
        for node in holders(model):
            if rng.random() < share:
                node.metadata_props.add(key=rng.choice(["k", "new"]), value="v" * rng.choice([0, 1, 120, 3000]))
            if node.metadata_props and rng.random() < share / 3:
                del node.metadata_props[rng.randrange(len(node.metadata_props))]
            if rng.random() < share / 6:
                node.doc_string += "\nline"
            elif rng.random() < share / 6:
                node.ClearField("doc_string")
            if rng.random() < share / 6:
                node.op_type = "Another"  # which is not written

    return change


def nothing(model: onnx.ModelProto) -> None:
    pass


changes = st.one_of(st.sampled_from([write, clear, write_anew, nothing]), st.integers(0, 2**32).map(some))


def spliced(data: bytes, change: Change) -> bytes:
    skeleton = read_skeleton(data)
    change(skeleton.model)
    return splice_bytes(skeleton)


@relaxed
@given(randoms, changes)
def test_many_at_a_time_give_what_one_by_one_gives(rng: random.Random, change: Change) -> None:
    data = model_of(rng)
    with carefully():
        expected = spliced(data, change)
    assert spliced(data, change) == expected
    with in_small_parts(rng):
        assert spliced(data, change) == expected


@relaxed
@given(randoms)
def test_what_is_added_many_at_a_time_leaves_without_a_trace(rng: random.Random) -> None:
    with in_small_parts(rng):
        data = spliced(model_of(rng), clear)
        tagged = spliced(data, write)
        assert (tagged == data) == (not holders(read_skeleton(data).model))
        assert spliced(tagged, clear) == data


@relaxed
@given(randoms)
def test_a_skeleton_read_in_parts_is_the_same(rng: random.Random) -> None:
    data = model_of(rng)
    whole = read_skeleton(data)
    with in_small_parts(rng):
        parts = read_skeleton(data)
    assert parts.model == whole.model
    assert parts.layout == whole.layout
    graph = next(found for found in fields(Window(MemoryReader(memoryview(data))), 0, len(data)) if found[0] == 7)
    nodes = fields(Window(MemoryReader(memoryview(data))), *graph[4:])
    assert list(whole.layout.nodes) == [at for found in nodes if found[0] == 1 for at in found[3:]]


def spans_of(*places: tuple[int, int, int]) -> array[int]:
    return array("Q", [offset for place in places for offset in place])


def test_runs_end_where_something_is_unusual() -> None:
    plain = [(100 * at + 1, 100 * at + 2, 100 * at + 100) for at in range(10)]
    assert list(runs(spans_of(*plain))) == [(0, 10, True)]
    # A length of two bytes where one is enough, a gap, and a node of more than 4096 bytes.
    wide = (1001, 1003, 1100)
    after = [(at + 1101, at + 1102, at + 1200) for at in range(0, 500, 100)]
    apart = [(at + 1702, at + 1703, at + 1801) for at in range(0, 500, 100)]
    large = (2202, 2204, 2204 + pruning.SMALL_NODE + 1)
    assert list(runs(spans_of(*plain, wide, *after, *apart, large))) == [
        (0, 10, True),
        (10, 11, False),
        (11, 16, True),
        (16, 21, True),
        (21, 22, False),
    ]
    assert list(runs(spans_of(*plain[:3]))) == [(0, 3, False)]
    assert list(runs(spans_of())) == []


def test_nodes_are_compared_together_where_nothing_is_unusual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all that is said of it here would say nothing."""
    monkeypatch.setattr(splice._Planner, "_one_by_one", None)
    model = onnx.ModelProto(ir_version=10)
    model.graph.node.extend(onnx.NodeProto(op_type="Op", name=f"n{at}" * 9) for at in range(1000))
    model.graph.name = "graph"
    data = model.SerializeToString()
    write(model)
    assert spliced(data, write) == model.SerializeToString()
    assert spliced(model.SerializeToString(), clear) == data
    assert spliced(data, nothing) == data


OURS = field(9, field(1, b"pkg.onnx_tagger.tag") + field(2, b"/A"))


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("late", [(3, b"name"), (10, field(1, b"devices")), (1000, b"unknown")])
def test_what_follows_metadata_in_a_source_stays(late: tuple[int, bytes], count: int) -> None:
    """In both directions, though the node as it is now is what its bytes begin with."""
    plain = field(2, b"y") + field(3, b"name") + field(4, b"Relu")
    follows = field(*late)

    def model_with(node: bytes) -> bytes:
        return b"\x08\x0a" + field(7, field(2, b"graph" * 50) + field(1, node) * count)

    assert spliced(model_with(plain + OURS + follows), clear) == model_with(plain + follows)
    assert spliced(model_with(plain + OURS + OURS), clear) == model_with(plain)
    tagged = spliced(model_with(plain + follows), write)
    assert tagged.count(follows) == model_with(plain + follows).count(follows)
    assert spliced(tagged, clear) == model_with(plain + follows)
