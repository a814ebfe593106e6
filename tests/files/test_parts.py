"""Parts of a model as files: what is copied, and that weights stay where they are."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from examples.staged import net, value
from examples.stored import sparse_file
from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.parts import Part, insist_on_parts, write_part
from onnx_tagger.model.keys import SOURCE

MIB = 1 << 20


def test_nodes_and_tensors_are_copied_with_all_that_is_in_them(tmp_path: Path) -> None:
    model = net()
    model.graph.initializer[0].doc_string = "of the source"
    onnx.save(model, tmp_path / "m.onnx")
    skeleton = read_skeleton(tmp_path / "m.onnx")
    part = Part([1], {"w"}, [value("x")], [value("embed")], {}, [("key", "value")])
    assert write_part(skeleton, part, tmp_path / "part.onnx") == (tmp_path / "part.onnx").stat().st_size
    made = onnx.load(tmp_path / "part.onnx")
    onnx.checker.check_model(made)
    assert made.graph.node[0] == model.graph.node[1]
    assert made.graph.initializer[0] == model.graph.initializer[0]
    assert made.opset_import == model.opset_import
    assert made.ir_version == model.ir_version
    assert [(entry.key, entry.value) for entry in made.metadata_props] == [("key", "value")]


def test_metadata_is_added_behind_that_of_the_node(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "m.onnx")
    entry = onnx.NodeProto()
    entry.metadata_props.add(key="more", value="1")
    part = Part([1], {"w"}, [value("x")], [value("embed")], {1: entry.SerializeToString()})
    write_part(read_skeleton(tmp_path / "m.onnx"), part, tmp_path / "part.onnx")
    keys = [entry.key for entry in onnx.load(tmp_path / "part.onnx").graph.node[0].metadata_props]
    assert keys[-1] == "more"
    assert SOURCE in keys


def test_memory_does_not_grow_with_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    sparse_file(path, 64 * MIB)
    skeleton = read_skeleton(path)
    name = skeleton.model.graph.initializer[0].name
    part = Part(range(len(skeleton.model.graph.node)), {name}, [], [], {})
    tracemalloc.start()
    try:
        size = write_part(skeleton, part, tmp_path / "part.onnx")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 64 * MIB > 16 * peak


def test_values_of_a_data_file_that_is_too_short_are_an_error_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    onnx.save(net(), tmp_path / "in" / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "in" / "m.data").write_bytes(b"")
    skeleton = read_skeleton(tmp_path / "in" / "m.onnx")
    with pytest.raises(TaggerError, match="ends before the values"):
        write_part(skeleton, Part([1], {"w"}, [value("x")], [value("embed")], {}), tmp_path / "part.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_cannot_be_copied_apart_is_refused(tmp_path: Path) -> None:
    model = net()
    dense = numpy_helper.from_array(np.float32([1.0]), "sparse")
    indices = numpy_helper.from_array(np.int64([0]))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(dense, indices, [4]))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(TaggerError, match="sparse"):
        insist_on_parts(read_skeleton(tmp_path / "m.onnx"))
    with pytest.raises(TaggerError, match="a file here"):
        insist_on_parts(read_skeleton(net().SerializeToString()))
