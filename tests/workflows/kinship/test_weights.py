"""Stored weights compared with a map's, after what tools do to them; and how tools store them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.hierarchy.digest import stored_digest, value_digests
from onnx_tagger.hierarchy.map import Parameter
from onnx_tagger.hierarchy.sketch import sketch_of
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.kinship.stored import read, stored_weights
from onnx_tagger.workflows.kinship.weights import Fit, Found, KnownWeights, parameters_of

Array = npt.NDArray[np.float32]


def weight(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape or (32, 48)).astype(np.float32)


def parameter(name: str, values: Array) -> Parameter:
    owner = name.rpartition(".")[0]
    return Parameter(name, owner, values.shape, "float32", value_digests(values), sketch_of(values))


def model(stored: Sequence[onnx.TensorProto], *nodes: onnx.NodeProto) -> Context:
    """A model of nodes that read the stored tensors; one Identity each unless said otherwise."""
    made = list(nodes) or [helper.make_node("Identity", [each.name], [f"y{at}"]) for at, each in enumerate(stored)]
    return Context(onnx.helper.make_model(helper.make_graph(made, "g", [], [], list(stored))))


def compared(known: KnownWeights, *arrays: npt.NDArray[np.generic]) -> list[Found]:
    ctx = model([numpy_helper.from_array(values, f"w{at}") for at, values in enumerate(arrays)])
    return [known.compare(each, read(ctx, each)) for each in stored_weights(ctx)]


Q, K, V = (weight(seed) for seed in (1, 2, 3))
CONV = weight(4, 20, 12, 3, 3)
KNOWN = KnownWeights(
    [
        parameter("attention.query.weight", Q),
        parameter("attention.query.bias", weight(5, 32)),
        parameter("attention.key.weight", K),
        parameter("attention.value.weight", V),
        parameter("conv.weight", CONV),
        parameter("table", np.arange(64, dtype=np.float32)),
        *(parameter(f"more.{seed}.weight", weight(seed)) for seed in range(100, 200)),
    ]
)
SCALES = np.random.default_rng(6).uniform(-2, 2, (20, 1, 1, 1)).astype(np.float32)


def blocked(values: Array, block: int = 8) -> Array:
    """In onnxruntime's NCHWc layout: channels in blocks, filled up with zeros."""
    out, into = (-(-size // block) * block for size in values.shape[:2])
    filled = np.pad(values, [(0, out - values.shape[0]), (0, into - values.shape[1]), (0, 0), (0, 0)])
    parts = filled.reshape(out // block, block, into // block, block, 3, 3)
    return np.ascontiguousarray(parts.transpose(0, 2, 4, 5, 3, 1)).reshape(filled.shape)


@pytest.mark.parametrize(
    ("values", "fit", "names"),
    [
        (Q, Fit.SAME, ("attention.query.weight",)),
        (Q.T, Fit.SAME, ("attention.query.weight",)),
        (K.astype(np.float16), Fit.ROUNDED, ("attention.key.weight",)),
        (K.astype(np.float16).astype(np.float32).T, Fit.ROUNDED, ("attention.key.weight",)),
        (np.concatenate([Q, K, V]), Fit.JOINED, tuple(f"attention.{n}.weight" for n in ("query", "key", "value"))),
        (np.concatenate([Q, K], axis=1).T, Fit.JOINED, ("attention.query.weight", "attention.key.weight")),
        (np.concatenate([Q, K, V]) * 1.5, Fit.CLOSE, ("attention.query.weight",)),
        (blocked(CONV), Fit.SAME, ("conv.weight",)),
        (CONV * SCALES, Fit.CLOSE, ("conv.weight",)),
        (blocked(CONV * SCALES), Fit.CLOSE, ("conv.weight",)),
        (V + 0.01 * weight(7), Fit.CLOSE, ("attention.value.weight",)),
        (weight(8), Fit.UNKNOWN, ()),
        (weight(9, 20, 12, 3, 3), Fit.UNKNOWN, ()),
        (np.ones((32, 48), np.float32), Fit.MUTE, ()),
        (np.arange(64, dtype=np.float32), Fit.MUTE, ()),
        ((weight(10) > 0).astype(np.float32), Fit.MUTE, ()),
    ],
)
def test_what_a_stored_weight_is_to_the_map_s(values: Array, fit: Fit, names: tuple[str, ...]) -> None:
    (found,) = compared(KNOWN, values)
    assert (found.fit, found.names) == (fit, names)
    assert (found.bits > 0) == bool(names)


def test_a_weight_that_a_tool_has_split_is_put_together_again() -> None:
    parts = [Q[:10], Q[10:], weight(8)]
    unknown = [(found, stored_digest(values)) for found, values in zip(compared(KNOWN, *parts), parts, strict=True)]
    assert [found.weight.name for found in KNOWN.split(unknown)] == ["w0", "w1"]


def test_a_map_without_sketches_says_nothing_of_what_may_have_been_folded_or_rounded() -> None:
    bare = KnownWeights([Parameter("a.w", "a", Q.shape, "float32", value_digests(Q))])
    fits = [
        found.fit for found in compared(bare, Q, weight(8), weight(9, 20, 12, 3, 3), np.round(Q * 40).astype(np.int8))
    ]
    assert fits == [Fit.SAME, Fit.UNKNOWN, Fit.MUTE, Fit.MUTE]


def int8(values: Array, zero: int) -> tuple[npt.NDArray[np.uint8], np.float32]:
    low, high = float(values.min()), float(values.max())
    scale = np.float32((high - low) / 255)
    return np.clip(np.round(values / scale) + zero, 0, 255).astype(np.uint8), scale


def test_small_integers_are_known_with_their_zero_point() -> None:
    stored, scale = int8(Q, 117)
    tensors = [
        numpy_helper.from_array(stored, "q"),
        numpy_helper.from_array(np.array(scale), "s"),
        numpy_helper.from_array(np.array(117, np.uint8), "z"),
    ]
    ctx = model(tensors, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]))
    (found,) = (KNOWN.compare(each, read(ctx, each)) for each in stored_weights(ctx))
    assert (found.fit, found.names, found.bits) == (Fit.CLOSE, ("attention.query.weight",), 20.0)


def test_zero_points_of_each_channel_are_spread_over_it() -> None:
    zeros = np.arange(100, 148, dtype=np.uint8)
    stored = np.clip(np.round(Q * 20) + zeros, 0, 255).astype(np.uint8)
    tensors = [numpy_helper.from_array(stored, "q"), numpy_helper.from_array(zeros, "z")]
    ctx = model(tensors, helper.make_node("MatMulInteger", ["x", "q", "", "z"], ["y"]))
    (each,) = stored_weights(ctx)
    values = read(ctx, each)
    assert values is not None
    assert np.abs(values.first / 20 - Q).max() < 0.03


@pytest.mark.parametrize("zeros", [True, False])
def test_blocks_of_four_bits_are_unpacked(zeros: bool) -> None:
    block = 16
    parts = Q.reshape(32, 3, block)
    low = parts.min(axis=2) if zeros else -np.abs(parts).max(axis=2)
    scale = ((parts.max(axis=2) if zeros else -low) - low) / (15 if zeros else 16)
    middle = np.round(-low / scale) if zeros else np.full((32, 3), 8.0)
    numbers = np.clip(np.round(parts / scale[..., None]) + middle[..., None], 0, 15).astype(np.uint8)
    packed = (numbers[..., ::2] | numbers[..., 1::2] << 4).astype(np.uint8)
    tensors = [numpy_helper.from_array(packed, "b"), numpy_helper.from_array(scale.reshape(-1).astype(np.float32), "s")]
    if zeros:
        filled = np.pad(middle.astype(np.uint8), [(0, 0), (0, 1)])
        tensors.append(numpy_helper.from_array((filled[:, ::2] | filled[:, 1::2] << 4).reshape(-1), "z"))
    inputs = ["x", *(tensor.name for tensor in tensors)]
    node = helper.make_node("MatMulNBits", inputs, ["y"], domain="com.microsoft", N=32, K=48, bits=4, block_size=block)
    ctx = model(tensors, node)
    (each,) = stored_weights(ctx)
    assert each.shape == (32, 48)
    found = KNOWN.compare(each, read(ctx, each))
    assert (found.fit, found.names) == (Fit.CLOSE, ("attention.query.weight",))


def test_weights_come_in_order_of_use_and_scales_are_none() -> None:
    tensors = [numpy_helper.from_array(weight(seed), name) for seed, name in enumerate("abc")]
    tensors += [
        numpy_helper.from_array(np.ones((32, 48), np.int8), "q"),
        numpy_helper.from_array(weight(3, 48), "scales"),
        numpy_helper.from_array(np.arange(32, dtype=np.int64), "indices"),
        numpy_helper.from_array(weight(4, 7), "short"),
        numpy_helper.from_array(np.arange(32, dtype=np.int32), "bias"),
    ]
    nodes = [
        helper.make_node("MatMul", ["c", "a"], ["y0"]),
        helper.make_node("DequantizeLinear", ["q", "scales"], ["y1"]),
        helper.make_node("Gather", ["a", "indices"], ["y2"]),
        helper.make_node("QLinearConv", ["x", "s", "z", "q", "scales", "z", "s", "z", "bias"], ["y3"]),
        helper.make_node("Add", ["b", "short"], ["y4"]),
    ]
    assert [each.name for each in stored_weights(model(tensors, *nodes))] == ["c", "a", "q", "bias", "b"]


def test_the_weights_of_a_file_are_those_of_a_map() -> None:
    transposed, conv = (
        numpy_helper.from_array(np.ascontiguousarray(Q.T), "q"),
        numpy_helper.from_array(blocked(CONV), "c"),
    )
    flat = numpy_helper.from_array(np.ones((32, 48), np.float32), "flat")
    tagged = model([transposed, conv, flat])
    found = parameters_of(tagged, stored_weights(tagged), {"q": ("attention",)})
    assert {(each.name, each.owner) for each in found} == {("q", "attention"), ("c", "")}
    assert {each.name for each in parameters_of(tagged, stored_weights(tagged), {}, ["c"])} == {"c"}
    known = KnownWeights(found)
    fits = compared(known, np.round(30 * Q).astype(np.int8), blocked(CONV * SCALES), K)
    assert [each.fit for each in fits] == [Fit.CLOSE, Fit.CLOSE, Fit.UNKNOWN]


def test_a_weight_whose_values_cannot_be_read_says_nothing() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[32, 48])
    ctx = model([tensor])
    (each,) = stored_weights(ctx)
    assert KNOWN.compare(each, read(ctx, each)).fit is Fit.MUTE
