"""Convolutions: what becomes one, and what must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from examples import fusible as f


@pytest.mark.parametrize(("bias", "group"), [(False, 1), (True, 1), (True, 2)])
def test_a_batch_norm_behind_a_convolution(bias: bool, group: int) -> None:
    b = f.Builder()
    before = b.model(f.conv_bn(b, b.input("n", 4, 5, 5), 4, 6, bias=bias, group=group))
    ctx = f.fused(before, "fuse-conv-bn")
    assert f.kinds(ctx.model) == ["Conv"]
    assert f.agree(before, ctx.model)
    assert len(ctx.model.graph.initializer) == 2


def test_a_convolution_that_somebody_else_reads_or_that_is_an_output() -> None:
    for shared in (True, False):
        b = f.Builder()
        y = f.conv_bn(b, b.input(1, 4, 5, 5), 4)
        conv = next(node.output[0] for node in b.nodes if node.op_type == "Conv")
        b.outputs += [] if shared else [conv]
        before = b.model(b("Add", y, conv) if shared else y)
        assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_weight_that_two_convolutions_share() -> None:
    b = f.Builder()
    x = b.input(1, 4, 5, 5)
    y = f.conv_bn(b, x, 4)
    weight = next(node.input[1] for node in b.nodes if node.op_type == "Conv")
    before = b.model(b("Add", y, b("Conv", x, weight)))
    ctx = f.fused(before)
    assert f.kinds(ctx.model) == ["Conv", "Conv", "Add"]
    assert f.agree(before, ctx.model)


def test_a_weight_that_is_an_input_too() -> None:
    b = f.Builder()
    before = b.model(f.conv_bn(b, b.input(1, 4, 5, 5), 4))
    weight = next(tensor for tensor in before.graph.initializer if len(tensor.dims) == 4)
    before.graph.input.append(onnx.helper.make_tensor_value_info(weight.name, 1, list(weight.dims)))
    assert f.kinds(f.fused(before).model) == ["Conv", "BatchNormalization"]


@pytest.mark.parametrize("outs", [(2, 3), (4, 1, 2)])
def test_parallel_convolutions(outs: tuple[int, ...]) -> None:
    b = f.Builder()
    before = b.model(f.parallel_convs(b, b.input("n", 4, 6, 6), 4, outs, strides=[2, 2]))
    ctx = f.fused(before, "fuse-parallel-convs")
    assert f.kinds(ctx.model) == ["Conv"]
    assert f.agree(before, ctx.model)


def test_convolutions_of_different_forms() -> None:
    b = f.Builder()
    x = b.input(1, 4, 6, 6)
    one = b("Conv", x, f.weights(b, 2, 4, 3, 3), pads=[1] * 4)
    other = b("Conv", x, f.weights(b, 2, 4, 3, 3), pads=[2] * 4, dilations=[2, 2])
    before = b.model(b("Concat", one, other, axis=1))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_a_concatenation_along_another_axis() -> None:
    b = f.Builder()
    x = b.input(1, 4, 6, 6)
    made = [b("Conv", x, f.weights(b, 2, 4, 3, 3), pads=[1] * 4) for _ in range(2)]
    before = b.model(b("Concat", *made, axis=2))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


@pytest.mark.parametrize("parts", [2, 4])
def test_convolutions_of_the_parts(parts: int) -> None:
    b = f.Builder()
    before = b.model(f.split_convs(b, b.input("n", 8, 3, 3), 8, parts))
    ctx = f.fused(before, "fuse-split-convs")
    assert f.kinds(ctx.model) == ["Conv"]
    assert f.agree(before, ctx.model)


@pytest.mark.parametrize("options", [{"order": -1}], ids=str)
def test_parts_in_another_order(options: dict[str, Any]) -> None:
    b = f.Builder()
    before = b.model(f.split_convs(b, b.input(1, 8, 3, 3), 8, 2, **options))
    assert f.kinds(f.fused(before).model) == f.kinds(before)


def test_weights_of_external_data_are_read_by_name() -> None:
    b = f.Builder()
    before = b.model(f.conv_bn(b, b.input(1, 4, 5, 5), 4))
    light = onnx.ModelProto()
    light.CopyFrom(before)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in before.graph.initializer}
    for tensor in light.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    ctx = f.tagged(light)
    f.PassManager([f.make_pass("fuse-conv-bn")]).run_in(ctx)
    assert f.kinds(light) == ["Conv", "BatchNormalization"], "nothing is known of the weights"
    ctx.values = held.get
    f.PassManager([f.make_pass("fuse-conv-bn")]).run_in(ctx)
    assert f.kinds(light) == ["Conv"]
    assert f.agree(before, light)
    assert all(np.isfinite(onnx.numpy_helper.to_array(tensor)).all() for tensor in light.graph.initializer)
