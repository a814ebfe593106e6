"""Skeletons: payloads stay where they are, and no tensor with its data elsewhere is overlooked."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import onnx
import pytest

from examples.stored import sparse_file, tag, untag
from onnx_tagger.files import pruning, wire
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.files.wire import varint

MIB = 1 << 20


def test_payloads_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    head = sparse_file(path, 64 * MIB)
    tracemalloc.start()
    try:
        skeleton = read_skeleton(path)
        tag(skeleton)
        write_spliced(skeleton, tmp_path / "out.onnx")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB
    assert skeleton.model.graph.initializer[0].dims == [64 * MIB]
    assert not skeleton.model.graph.initializer[0].HasField("raw_data")
    again = read_skeleton(tmp_path / "out.onnx")
    assert again.model.graph.node[0].metadata_props[0].value == "/A/B"
    untag(again)
    write_spliced(again, tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").stat().st_size == path.stat().st_size
    assert (tmp_path / "back.onnx").read_bytes()[: len(head)] == head


def test_data_files_are_found_wherever_a_tensor_can_be() -> None:
    places = iter(range(100))

    def far(tensor: onnx.TensorProto) -> None:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=str(next(places)))

    model = onnx.ModelProto(ir_version=10)
    training = model.training_info.add()
    function = model.functions.add(name="f")
    for graph in (model.graph, training.initialization, training.algorithm, function):
        attribute = graph.node.add(op_type="Op").attribute.add(name="a")
        inner = attribute.graphs.add()
        far(attribute.t)
        far(attribute.tensors.add())
        for sparse in (attribute.sparse_tensor, attribute.sparse_tensors.add(), inner.sparse_initializer.add()):
            far(sparse.values)
            far(sparse.indices)
        far(attribute.g.initializer.add())
    far(function.attribute_proto.add(name="default").t)
    skeleton = read_skeleton(model.SerializeToString())
    assert {int(location) for location in skeleton.external} == set(range(next(places)))
    assert len(skeleton.external) == 4 * 9 + 1


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | wire.LENGTH) + varint(len(data)) + data


# The fields of a model that hold a tensor, outermost first.
PLACES = {
    "initializer": [7, 5],
    "sparse": [7, 15, 2],
    "constant": [7, 1, 5, 5],
    "body": [7, 1, 5, 6, 5],
    "function": [25, 7, 5, 5],
}


@pytest.mark.parametrize("part", [1, 1 << 16])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mark", ["7001", "70818000", "f00001", "f080008100"])
def test_a_tensor_that_names_no_data_file_is_not_overlooked(
    mark: str, place: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its mark is written, and though others account for all that is said of locations."""
    monkeypatch.setattr(pruning, "_PART", part)
    nameless = field(8, b"nameless") + bytes.fromhex(mark)
    for number in reversed(PLACES[place][1:]):
        nameless = field(number, nameless)
    named = field(5, b"\x70\x01" + field(13, field(1, b"location") + field(2, b"w.bin")))
    graph = field(2, b"graph") + named * 2
    if PLACES[place][0] == wire.GRAPH_OF_MODEL:
        data = field(7, nameless + graph)
    else:
        data = field(7, graph) + field(PLACES[place][0], nameless)
    assert sorted(map(str, read_skeleton(data).external)) == ["", "w.bin"]
