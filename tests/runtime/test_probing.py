"""Running a file with tensors exposed and replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from examples.faulty import file_of
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.probing import Nudge, Probe
from onnx_tagger.runtime.sessions import NotRunError

X = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], dtype=np.float32)
WEIGHT = np.random.default_rng(0).standard_normal((4, 400)).astype(np.float32)
BACK = np.random.default_rng(1).standard_normal((400, 4)).astype(np.float32)


@pytest.fixture(name="probe")
def _probe(tmp_path: Path) -> Probe:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["wide"]),
        helper.make_node("Relu", ["wide"], ["cut"]),
        helper.make_node("MatMul", ["cut", "v"], ["out"]),
    ]
    onnx.save(file_of(*nodes, w=WEIGHT, v=BACK, unread=np.ones(999, dtype=np.float32)), tmp_path / "m.onnx")
    return Probe(tmp_path / "m.onnx")


def test_large_weights_are_taken_out_once_and_used_by_every_session(probe: Probe) -> None:
    assert set(probe.weights) == {"w", "v"}
    assert len(probe.model.SerializeToString()) < 1500
    for _ in range(2):
        found: dict[str, np.ndarray] = {}
        probe.run({"x": X}, ["wide", "out"], found.__setitem__)
        np.testing.assert_allclose(found["wide"], X @ WEIGHT, rtol=1e-5)
        np.testing.assert_allclose(found["out"], np.maximum(X @ WEIGHT, 0) @ BACK, rtol=1e-4, atol=1e-4)


def test_what_reads_a_replaced_tensor_gets_the_given_one_and_it_is_still_computed(probe: Probe) -> None:
    found: dict[str, np.ndarray] = {}
    given = np.ones((2, 400), dtype=np.float32)
    probe.run({"x": X}, ["cut", "out"], found.__setitem__, given={"cut": given}, batches=[["cut"], ["out"]])
    np.testing.assert_allclose(found["cut"], np.maximum(X @ WEIGHT, 0), rtol=1e-5)
    np.testing.assert_allclose(found["out"], given @ BACK, rtol=1e-4, atol=1e-4)


def test_bodies_read_the_given_tensor_too(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node("Neg", ["r"], [name])], name, [], [out])

    outer = helper.make_graph([], "outer", [], [helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, None)])
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("If", ["yes"], ["n"], then_branch=branch("t"), else_branch=branch("e")),
        helper.make_node("If", ["yes"], ["same"], then_branch=outer, else_branch=branch("f")),
        helper.make_node("Add", ["n", "same"], ["out"]),
    ]
    onnx.save(file_of(*nodes, yes=np.array(True)), tmp_path / "m.onnx")
    found: dict[str, np.ndarray] = {}
    Probe(tmp_path / "m.onnx").run({"x": X}, ["n", "same"], found.__setitem__, given={"r": X * 7})
    np.testing.assert_array_equal(found["n"], -7 * X)
    np.testing.assert_array_equal(found["same"], 7 * X)


def test_values_of_stored_tensors(probe: Probe) -> None:
    np.testing.assert_array_equal(probe.weight("w"), WEIGHT)
    assert probe.weight("elsewhere") is None
    assert list(probe.inputs()) == ["x"]


def test_external_weights(tmp_path: Path) -> None:
    model = file_of(helper.make_node("Add", ["x", "b"], ["out"]), b=np.full((2, 4), 3, dtype=np.float32))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    found: dict[str, np.ndarray] = {}
    Probe(tmp_path / "m.onnx").run({"x": X}, ["out"], found.__setitem__)
    np.testing.assert_array_equal(found["out"], X + 3)


def test_a_file_that_does_not_run(probe: Probe, tmp_path: Path) -> None:
    with pytest.raises(NotRunError, match="does not run on these inputs"):
        probe.run({"x": X[:, :3]}, ["out"], lambda *_: None)
    onnx.save(file_of(helper.make_node("Nonsense", ["x"], ["out"])), tmp_path / "bad.onnx")
    with pytest.raises(NotRunError, match="onnxruntime does not load it"):
        Probe(tmp_path / "bad.onnx").run({"x": X}, ["out"], lambda *_: None)
    with pytest.raises(TaggerError, match=r"missing\.onnx"):
        Probe(tmp_path / "missing.onnx")


def test_a_tensor_in_blocks_of_channels_is_shown_and_given_in_the_order_of_the_standard(tmp_path: Path) -> None:
    import onnxruntime as ort

    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    kernels = [
        np.random.default_rng(i).standard_normal(s).astype(np.float32)
        for i, s in ((1, (8, 3, 3, 3)), (2, (8, 8, 3, 3)))
    ]
    ends = [
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", [1, 3, 8, 8]), ("out", None))
    ]
    nodes = [helper.make_node("Conv", ["x", "a"], ["mid"]), helper.make_node("Conv", ["mid", "b"], ["out"])]
    stored = [numpy_helper.from_array(k, n) for k, n in zip(kernels, "ab", strict=True)]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], stored), ir_version=10)
    model.opset_import[0].version = 20
    onnx.save(model, tmp_path / "plain.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "blocked.onnx"), 4
    ort.InferenceSession(str(tmp_path / "plain.onnx"), options, providers=["CPUExecutionProvider"])
    probe = Probe(tmp_path / "blocked.onnx")
    name = next(
        (n.output[0] for n in probe.model.graph.node if n.domain == "com.microsoft.nchwc" and n.op_type == "Conv"), ""
    )
    if not name:
        pytest.skip("onnxruntime does not block channels on this machine")
    probe.channels = {name: 8}
    plain, blocked = dict[str, np.ndarray](), dict[str, np.ndarray]()
    Probe(tmp_path / "plain.onnx").run({"x": image}, ["mid", "out"], plain.__setitem__)
    probe.run({"x": image}, [name, "out"], blocked.__setitem__, given={name: plain["mid"] * 2})
    np.testing.assert_allclose(blocked[name], plain["mid"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(blocked["out"], plain["out"] * 2, rtol=1e-4, atol=1e-3)


def test_integers_are_moved_where_they_are_shown_and_read(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["out"]),
    ]
    onnx.save(file_of(*nodes), tmp_path / "m.onnx")
    probe = Probe(tmp_path / "m.onnx")
    plain, moved = dict[str, np.ndarray](), dict[str, np.ndarray]()
    probe.run({"x": X}, ["q", "s", "out"], plain.__setitem__)
    steps = np.array([[1, -1, 1, 1], [0, 0, -1, -1]], dtype=np.float32)
    probe.run({"x": X}, ["q", "out"], moved.__setitem__, nudged={"q": Nudge(steps, "s", "z")})
    off = moved["q"].astype(int) - plain["q"].astype(int)
    # Nothing leaves the range: the smallest number cannot go down.
    np.testing.assert_array_equal(moved["q"], np.clip(plain["q"] + steps, 0, 255))
    assert off[1, 3] == 0
    np.testing.assert_allclose(moved["out"] - plain["out"], off * plain["s"], atol=1e-6)
    assert repr(Nudge(steps, "s", "z")) == "<Nudge 8 numbers, s>"


def test_what_is_given_in_place_of_a_moved_tensor_is_read_and_the_moved_one_is_shown(tmp_path: Path) -> None:
    scale, zero = np.array(0.5, dtype=np.float32), np.array(0, dtype=np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["out"]),
    ]
    onnx.save(file_of(*nodes, s=scale, z=zero), tmp_path / "m.onnx")
    found: dict[str, np.ndarray] = {}
    given, nudge = np.full((2, 4), 7, dtype=np.int8), Nudge(np.ones((2, 4), dtype=np.float32), "s", "z")
    Probe(tmp_path / "m.onnx").run({"x": X}, ["q", "out"], found.__setitem__, given={"q": given}, nudged={"q": nudge})
    np.testing.assert_array_equal(found["q"], 2 * X + 1)
    np.testing.assert_array_equal(found["out"], np.full((2, 4), 3.5))


def test_stored_tensors_have_other_values_for_one_run(probe: Probe, tmp_path: Path) -> None:
    found: dict[str, np.ndarray] = {}
    probe.run({"x": X}, ["wide"], found.__setitem__, stored={"w": 2 * WEIGHT})
    np.testing.assert_allclose(found["wide"], X @ (2 * WEIGHT), rtol=1e-5)
    probe.run({"x": X}, ["wide"], found.__setitem__)
    np.testing.assert_allclose(found["wide"], X @ WEIGHT, rtol=1e-5)
    small = file_of(helper.make_node("Add", ["x", "b"], ["out"]), b=np.ones((2, 4), dtype=np.float32))
    onnx.save(small, tmp_path / "small.onnx")
    other = Probe(tmp_path / "small.onnx")
    other.run({"x": X}, ["out"], found.__setitem__, stored={"b": X})
    np.testing.assert_array_equal(found["out"], 2 * X)
