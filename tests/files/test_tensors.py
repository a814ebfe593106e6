"""Stored tensors read some rows at a time, from the model and from data files; reading whole is in `test_onnxfile`."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.tensors import read_blocks, read_initializer


def model_of(*tensors: onnx.TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([], "g", [], [], list(tensors)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint64, ml_dtypes.bfloat16])
def test_blocks_hold_whole_rows_in_order(dtype: type[np.generic]) -> None:
    values = np.arange(1000 * 6).reshape(1000, 2, 3).astype(dtype)
    skeleton = read_skeleton(model_of(numpy_helper.from_array(values, "w")).SerializeToString())
    size = 100 * 6 * values.itemsize
    blocks = list(read_blocks(skeleton, "w", size))
    assert [len(block) for block in blocks] == [100] * 10
    assert np.concatenate(blocks).tobytes() == values.tobytes() == read_initializer(skeleton, "w").tobytes()
    assert blocks[0].dtype == values.dtype


def test_a_block_has_one_row_at_least() -> None:
    values = np.ones((3, 5000), np.float32)
    skeleton = read_skeleton(model_of(numpy_helper.from_array(values, "w")).SerializeToString())
    assert [block.shape for block in read_blocks(skeleton, "w", 100)] == [(1, 5000)] * 3


@pytest.mark.parametrize(("shape", "blocks"), [((1, 1, 600), (600,)), ((1, 300, 2), (300, 2)), ((1, 1), ()), ((), ())])
def test_dimensions_of_one_before_the_rows_are_left_out(shape: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    values = np.ones(shape, np.float32)
    skeleton = read_skeleton(model_of(numpy_helper.from_array(values, "w")).SerializeToString())
    assert [block.shape for block in read_blocks(skeleton, "w")] == [blocks]


def test_what_does_not_lie_one_after_the_other_is_read_whole() -> None:
    listed = helper.make_tensor("w", TensorProto.FLOAT, [400], [1.5] * 400)
    packed = helper.make_tensor("v", TensorProto.INT4, [600], [3] * 600)
    skeleton = read_skeleton(model_of(listed, packed).SerializeToString())
    for name, count in (("w", 400), ("v", 600)):
        (block,) = read_blocks(skeleton, name, 8)
        assert block.shape == (count,)


def external(tmp_path: Path) -> Path:
    values = np.arange(4000, dtype=np.float32).reshape(100, 40)
    model = model_of(numpy_helper.from_array(values, "w"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    return tmp_path / "m.onnx"


def test_external_data_in_blocks(tmp_path: Path) -> None:
    blocks = list(read_blocks(read_skeleton(external(tmp_path)), "w", 1600))
    assert [block.shape for block in blocks] == [(10, 40)] * 10
    assert np.concatenate(blocks).ravel().tolist() == list(range(4000))


def test_errors_name_the_tensor(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "m.data"
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(TaggerError, match="ends before the values of 'w'"):
        next(read_blocks(read_skeleton(path), "w"))
    with pytest.raises(TaggerError, match="has no initializer 'v'"):
        next(read_blocks(read_skeleton(path), "v"))
    odd = numpy_helper.from_array(np.ones(500, np.float32), "w")
    odd.dims[0] = 501
    with pytest.raises(TaggerError, match="'w' do not fit its shape and type"):
        next(read_blocks(read_skeleton(model_of(odd).SerializeToString()), "w"))


def test_names_that_were_changed_in_the_skeleton_are_found_by_what_the_file_says() -> None:
    tensors = [numpy_helper.from_array(np.full(500, at, np.float32), name) for at, name in enumerate("abc")]
    skeleton = read_skeleton(model_of(*tensors).SerializeToString())
    skeleton.model.graph.initializer[0].name = "b"
    assert [int(read_initializer(skeleton, name)[0]) for name in "abc"] == [0, 1, 2]
    with pytest.raises(TaggerError, match="has no initializer 'd'"):
        read_initializer(skeleton, "d")
