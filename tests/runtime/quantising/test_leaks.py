"""Kept nodes read float tensors, whatever the quantiser left them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from onnx_tagger.runtime.quantising.leaks import leaks, mend_leaks

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[2,4] x) => (float[2,4] z)
<float[4,4] a = {1,0,0,0, 0,2,0,0, 0,0,3,0, 0,0,0,4}, float[4,4] b = {4,0,0,0, 0,3,0,0, 0,0,2,0, 0,0,0,1}>
{
  [first] p = MatMul(x, a)
  [second] q = MatMul(x, b)
  [join] z = Add(p, q)
}
"""


class Reader:
    """One sample, as onnxruntime's calibration asks for it."""

    def __init__(self) -> None:
        self.left = [{"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}]

    def get_next(self) -> dict[str, object] | None:
        return self.left.pop() if self.left else None


@pytest.fixture
def quantised(tmp_path: Path) -> onnx.ModelProto:
    """The graph with its first product quantised by onnxruntime."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    onnx.save(parser.parse_model(GRAPH), tmp_path / "a.onnx")
    quantization.quantize_static(
        str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx"), Reader(), op_types_to_quantize=["MatMul"],
        nodes_to_quantize=["first"],
    )  # fmt: skip
    return onnx.load(tmp_path / "b.onnx")


def test_kept_nodes_read_float_again_and_the_rest_stays(quantised: onnx.ModelProto) -> None:
    kept = {"second", "join"}
    before = leaks(quantised.graph, kept)
    assert {node.name for node, _, _ in before} == kept
    assert mend_leaks(quantised, kept) == len(before)
    assert leaks(quantised.graph, kept) == []
    onnx.checker.check_model(quantised)
    by_name = {node.name: node for node in quantised.graph.node}
    assert by_name["second"].input[0] == "x"
    assert by_name["first"].input[0] != "x"


def test_pairs_that_nobody_reads_any_more_are_removed(quantised: onnx.ModelProto) -> None:
    pairs = sum(node.op_type == "QuantizeLinear" for node in quantised.graph.node)
    mend_leaks(quantised, {"second", "join"})
    made = {output for node in quantised.graph.node for output in node.output}
    read = {name for node in quantised.graph.node for name in node.input} | {"z"}
    assert made <= read
    assert {tensor.name for tensor in quantised.graph.initializer if tensor.name not in ("a", "b")} <= read
    assert sum(node.op_type == "QuantizeLinear" for node in quantised.graph.node) < pairs


def test_nothing_kept_changes_nothing(quantised: onnx.ModelProto) -> None:
    before = quantised.SerializeToString(deterministic=True)
    assert mend_leaks(quantised, {""}) == 0
    assert quantised.SerializeToString(deterministic=True) == before
