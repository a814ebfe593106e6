"""onnxruntime's quantisers: only the nodes that are named, nothing on stdout, and a sentence where they fail."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from examples.quantised import WIDTH, net, samples
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.calibration import Calibration, inputs_of
from onnx_tagger.runtime.quantising.quantisers import Way, quantise

pytest.importorskip("onnxruntime")


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Calibration:
    return Calibration(samples(), inputs_of(onnx.load(net(tmp_path / "m.onnx")).graph))


def test_no_node_is_no_request_for_all(tmp_path: Path, data: Calibration) -> None:
    with pytest.raises(TaggerError, match="no node is left"):
        quantise(tmp_path / "m.onnx", tmp_path / "q.onnx", [], Way(True), data, tmp_path / "c.json")
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_nothing_is_printed(tmp_path: Path, data: Calibration, method: str, capfd: pytest.CaptureFixture[str]) -> None:
    quantise(tmp_path / "m.onnx", tmp_path / "q.onnx", ["u"], Way(True, method=method), data, tmp_path / "c.json")
    out, _ = capfd.readouterr()
    assert out == ""
    kinds = [node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node]
    assert "QuantizeLinear" in kinds


def test_value_info_of_initializers_does_not_stop_the_dynamic_way(tmp_path: Path) -> None:
    model = onnx.load(net(tmp_path / "m.onnx"))
    model.graph.value_info.append(helper.make_tensor_value_info("up", onnx.TensorProto.FLOAT, [WIDTH, WIDTH]))
    onnx.save(model, tmp_path / "m.onnx")
    quantise(tmp_path / "m.onnx", tmp_path / "q.onnx", ["u"], Way(False), None, tmp_path / "c.json")
    kinds = [node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node]
    assert kinds.count("MatMulInteger") == 1


def test_what_onnxruntime_cannot_is_a_sentence(tmp_path: Path, data: Calibration) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(TaggerError, match="onnxruntime cannot quantise it"):
        quantise(tmp_path / "bad.onnx", tmp_path / "q.onnx", ["u"], Way(True), data, tmp_path / "c.json")
