"""Models whose values lie apart: what is read is what protobuf would have written, byte for byte."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from hypothesis import given, strategies as st

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.filled import PiecesReader, filled
from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes, write_spliced
from onnx_tagger.files.proof import weights_of
from onnx_tagger.files.tensors import read_initializer
from onnx_tagger.files.wire import MemoryReader


def model_of(values: dict[str, bytes]) -> onnx.ModelProto:
    """A model with a node, tensors before and behind which other fields lie, and one that keeps its values."""
    kept = onnx.TensorProto(name="kept", data_type=onnx.TensorProto.FLOAT, dims=[2], float_data=[1, 2])
    tensors = [
        onnx.TensorProto(name=name, data_type=onnx.TensorProto.UINT8, dims=[len(data)], raw_data=data, doc_string="d")
        for name, data in values.items()
    ]
    node = onnx.NodeProto(op_type="Relu", input=["x"], output=["y"], name="n")
    graph = onnx.GraphProto(name="g", node=[node], initializer=[kept, *tensors], doc_string="behind the tensors")
    return onnx.ModelProto(ir_version=10, graph=graph, opset_import=[onnx.OperatorSetIdProto(version=18)])


def apart(model: onnx.ModelProto, names: set[str]) -> PiecesReader:
    payloads = {}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for tensor in bare.graph.initializer:
        if tensor.name in names:
            payloads[tensor.name] = memoryview(bytes(tensor.raw_data))
            tensor.raw_data = b"left out"
    return filled(bare.SerializeToString(), payloads)


# Lengths around the steps of a length prefix, empty ones too.
lengths = st.sampled_from([0, 1, 3, 107, 127, 128, 129, 5000, 16383, 16384, 70_000])


@given(st.lists(lengths, max_size=5), st.data())
def test_is_what_protobuf_writes(sizes: list[int], data: st.DataObject) -> None:
    model = model_of({f"w{at}": bytes([at + 1]) * size for at, size in enumerate(sizes)})
    names = {f"w{at}" for at in range(len(sizes)) if data.draw(st.booleans())}
    whole, reader = model.SerializeToString(), apart(model, names)
    assert reader.size == len(whole)
    assert reader.read_at(0, reader.size) == whole
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    assert reader.read_at(start, stop - start) == whole[start:stop]
    assert b"".join(reader.views(start, stop)) == whole[start:stop]


def test_reads_no_further_than_its_end() -> None:
    reader = PiecesReader([memoryview(b"ab"), memoryview(b""), memoryview(b"cde")])
    assert (reader.size, reader.read_at(1, 100), reader.read_at(5, 1), reader.read_at(9, 1)) == (5, b"bcde", b"", b"")
    assert PiecesReader([]).read_at(0, 1) == b""


def test_is_read_spliced_and_proved_like_any_source(tmp_path: Path) -> None:
    model = model_of({"w0": bytes(range(256)) * 1000, "w1": b"\1" * 20})
    skeleton = read_skeleton(apart(model, {"w0", "w1"}))
    assert read_initializer(skeleton, "w0").tobytes() == bytes(range(256)) * 1000
    assert splice_bytes(skeleton) == model.SerializeToString()
    for nodes in (skeleton.model.graph.node, model.graph.node):
        nodes[0].metadata_props.add(key="pkg.onnx_tagger.tag", value="/M/Relu.act")
    proved = write_spliced(skeleton, tmp_path / "m.onnx", verify_bytes=True)
    assert (tmp_path / "m.onnx").read_bytes() == model.SerializeToString()
    assert proved == weights_of(MemoryReader(memoryview(model.SerializeToString())))


def test_places_and_values_have_to_be_of_the_same_names() -> None:
    data = model_of({"a": b"left out", "b": b"left out", "c": b"more"}).SerializeToString()
    values = {"a": memoryview(b"12345678"), "b": memoryview(b"abcdefgh")}
    made = filled(data, values, b"left out")
    whole = model_of({"a": b"12345678", "b": b"abcdefgh", "c": b"more"})
    assert made.read_at(0, made.size) == whole.SerializeToString()
    with pytest.raises(TaggerError, match="placeholder for the values of 'b', which are lost"):
        filled(data, {"a": values["a"]}, b"left out")
    with pytest.raises(TaggerError, match="other values for 'c'"):
        filled(data, {**values, "c": memoryview(b"1234")}, b"left out")


def test_values_without_a_place_are_an_error() -> None:
    data = model_of({"w": b"abc"}).SerializeToString()
    with pytest.raises(TaggerError, match="no place for the values of 'other'"):
        filled(data, {"w": memoryview(b"abc"), "other": memoryview(b"")})
    with pytest.raises(TaggerError, match="'kept'"):
        filled(data, {"kept": memoryview(b"12345678")})
