"""Stored weights: which tensors are weights, in what order, and what values packed and rounded ones have."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.kinship.stored import StoredWeight, read, stored_weights

Stored = dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"]


def context(nodes: list[onnx.NodeProto], stored: Stored) -> Context:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    return Context(helper.make_model(helper.make_graph(nodes, "g", [value], [], tensors)))


def numbers(*shape: int, kind: str = "f4") -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    made = np.random.default_rng(len(shape)).integers(-100, 100, shape)
    return (made + 128 * (kind == "u1")).astype(kind)


def the_weight(ctx: Context) -> StoredWeight:
    (weight,) = stored_weights(ctx)
    return weight


def test_weights_come_in_the_order_of_their_readers() -> None:
    nodes = [helper.make_node("MatMul", ["x", "second"], ["t"]), helper.make_node("MatMul", ["t", "first"], ["y"])]
    ctx = context(nodes, {"first": numbers(8, 8), "second": numbers(8, 8), "unread": numbers(8, 8)})
    assert [weight.name for weight in stored_weights(ctx)] == ["second", "first"]


def test_scales_shapes_and_short_tensors_are_no_weights() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["t"]),
        helper.make_node("Reshape", ["t", "shape"], ["r"]),
        helper.make_node("Add", ["r", "short"], ["y"]),
    ]
    stored: Stored = {
        "w": numbers(8, 16, kind="i1"),
        "scale": np.full(16, 0.1, "f4"),
        "zero": np.zeros(16, "i1"),
        "shape": np.arange(16, dtype="i8"),
        "short": np.ones(2, "f4"),
    }
    assert [weight.name for weight in stored_weights(context(nodes, stored))] == ["w"]


@pytest.mark.parametrize("zero", [3, -7])
def test_zero_points_are_taken_off(zero: int) -> None:
    stored: Stored = {
        "w": numbers(8, 16, kind="i1"),
        "scale": np.float32(0.1).reshape(()),
        "zero": np.int8(zero).reshape(()),
    }
    ctx = context([helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["y"])], stored)
    weight = the_weight(ctx)
    assert weight.rounded
    found = read(ctx, weight)
    assert found is not None
    np.testing.assert_array_equal(found.first, stored["w"].astype("f4") - zero)


def test_zero_points_of_channels_lie_along_their_axis() -> None:
    zeros = np.arange(16, dtype="i1")
    stored: Stored = {"w": numbers(8, 16, kind="i1"), "scale": np.full(16, 0.1, "f4"), "zero": zeros}
    ctx = context([helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["y"])], stored)
    found = read(ctx, the_weight(ctx))
    assert found is not None
    np.testing.assert_array_equal(found.first, stored["w"].astype("f4") - zeros[None, :])


def test_unsigned_integers_without_a_zero_point_lie_around_the_middle() -> None:
    stored: Stored = {"w": numbers(8, 16, kind="u1")}
    ctx = context([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], stored)
    found = read(ctx, the_weight(ctx))
    assert found is not None
    np.testing.assert_array_equal(found.first, stored["w"].astype("f4") - 128)


def packed(rows: int, columns: int, block: int) -> tuple[Stored, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """A weight in blocks of four bits with a scale each, as MatMulNBits stores it, and its values."""
    chance = np.random.default_rng(0)
    blocks = -(-columns // block)
    whole = chance.integers(0, 16, (rows, blocks, block))
    scales = chance.uniform(0.5, 2, (rows, blocks)).astype("f4")
    bytes_ = (whole[..., ::2] | whole[..., 1::2] << 4).astype("u1")
    values = ((whole - 8) * scales[..., None]).reshape(rows, -1)[:, :columns].astype("f4")
    return {"w": bytes_, "scales": scales.reshape(-1)}, values


@pytest.mark.parametrize("columns", [32, 40])
def test_blocks_of_four_bits_are_unpacked(columns: int) -> None:
    stored, values = packed(6, columns, 16)
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "scales"], ["y"], domain="com.microsoft", N=6, K=columns, bits=4, block_size=16
    )
    ctx = context([node], stored)
    weight = the_weight(ctx)
    assert weight.shape == (6, columns)
    found = read(ctx, weight)
    assert found is not None
    np.testing.assert_allclose(found.first, values, rtol=1e-6)


def test_other_numbers_of_bits_are_not_read() -> None:
    stored, _ = packed(6, 32, 16)
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "scales"], ["y"], domain="com.microsoft", N=6, K=32, bits=2, block_size=16
    )
    ctx = context([node], stored)
    assert read(ctx, the_weight(ctx)) is None


def test_biases_in_wide_integers_are_weights_and_other_wide_integers_are_not() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["bias", "scale"], ["t"]),
        helper.make_node("Gather", ["x", "places"], ["y"]),
    ]
    stored: Stored = {
        "bias": np.arange(16, dtype="i4"),
        "scale": np.full(16, 0.1, "f4"),
        "places": np.arange(16, dtype="i4"),
    }
    weight = the_weight(context(nodes, stored))
    assert (weight.name, weight.rounded) == ("bias", True)
