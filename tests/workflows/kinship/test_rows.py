"""Weights read a few rows at a time: they say what the whole of them says, in any number of blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.tensors import read_blocks
from onnx_tagger.hierarchy.digest import stored_digest, value_digests
from onnx_tagger.hierarchy.sketch import MOST, channel_numbers
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.kinship.rows import BLOCKS, Rows
from onnx_tagger.workflows.kinship.stored import read, stored_weights

Floats = npt.NDArray[np.float32]


def floats(*shape: int) -> Floats:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def rows_of(values: Floats, count: int) -> Rows:
    blocks = [values[start : start + count] for start in range(0, len(values), count)]
    return Rows(lambda: iter(blocks), blocks[0], values.shape)


@pytest.mark.parametrize("count", [1, 7, 50, 1000])
def test_digests_are_those_of_the_whole(count: int) -> None:
    values = floats(100, 12)
    rows = rows_of(values, count)
    assert rows.digest == stored_digest(values)
    assert rows.digests == value_digests(values)
    assert rows.size == 1200


@pytest.mark.parametrize("count", [1, 7, 50, 1000])
def test_orders_of_a_matrix(count: int) -> None:
    values = floats(100, 70)
    (by_row, numbers), (by_column, others) = rows_of(values, count).orders
    assert (by_row, by_column) == (100, 70)
    np.testing.assert_array_equal(numbers, channel_numbers(values))
    np.testing.assert_allclose(others, channel_numbers(values[:, :MOST].T), rtol=1e-9)


def test_columns_of_zeros_at_the_end_are_padding() -> None:
    values = floats(20, 32)
    values[:, 24:] = 0
    assert [channels for channels, _ in rows_of(values, 6).orders] == [20, 24]


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_orders_of_a_blocked_convolution(count: int) -> None:
    plain = floats(64, 8, 3, 3)
    block = BLOCKS[0]
    blocked = plain.reshape(64 // block, block, 8, 3, 3).transpose(0, 2, 3, 4, 1).reshape(plain.shape)
    found = dict(enumerate(rows_of(blocked, count).orders))
    np.testing.assert_allclose(found[1][1], channel_numbers(plain), rtol=1e-9)


def test_filled() -> None:
    values = floats(10, 4)
    values[5:] = 0
    assert rows_of(values, 3).filled == 0.5
    assert rows_of(np.zeros_like(values), 3).filled == 1 / 40


@pytest.mark.parametrize(
    ("values", "tell"),
    [
        (floats(30, 30), True),
        (np.zeros((30, 30), np.float32), False),
        (np.arange(900, dtype=np.float32).reshape(30, 30), False),
        (np.tile(np.float32([0, 1]), 450).reshape(30, 30), False),
    ],
)
def test_what_tells(values: Floats, tell: bool) -> None:
    assert rows_of(values, 1000).tell is tell


def test_a_weight_of_a_file_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(-100, 100, (300, 40)).astype(np.int8)
    zeros = np.random.default_rng(1).integers(-9, 9, 300).astype(np.int8)
    stored = {"w": values, "scale": np.full(300, 0.1, np.float32), "zero": zeros}
    node = helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["y"], axis=0)
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    model = helper.make_model(
        helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)], [], tensors)
    )
    skeleton = read_skeleton(model.SerializeToString())
    sizes: list[int] = []

    def blocks(name: str) -> object:
        for block in read_blocks(skeleton, name, 1000):
            sizes.append(block.nbytes)
            yield block

    ctx = Context(skeleton.model, blocks=blocks)  # type: ignore[arg-type]
    (weight,) = stored_weights(ctx)
    rows = read(ctx, weight)
    assert rows is not None
    np.testing.assert_array_equal(np.concatenate(list(rows)), values.astype(np.float32) - zeros[:, None])
    assert max(sizes) <= 1000


def test_what_cannot_be_read_is_none() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    tensor = numpy_helper.from_array(floats(8, 8), "w")
    tensor.ClearField("raw_data")
    model = helper.make_model(helper.make_graph([node], "g", [], [], [tensor]))
    ctx = Context(model)
    assert read(ctx, stored_weights(ctx)[0]) is None
