from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.layers import OPENVINO_FORMAT, format_of, openvino_layers, tensorrt_layers

HERE = Path("p.json")
REPORT = """layerName;execStatus;layerType;execType;realTime (ms);cpuTime (ms);proportion
a/MatMul;EXECUTED;FullyConnected;gemm;0.5;0.5;50%
a/MatMul;EXECUTED;FullyConnected;gemm;0.7;0.7;50%
a/Relu;NOT_RUN;Relu;undef;0;0;0%
Total;;;;1.2;1.2;
"""


def test_a_report_of_benchmark_app_is_read() -> None:
    assert format_of(REPORT, HERE) == "openvino"
    (layer,) = openvino_layers(REPORT, HERE)
    assert (layer.name, layer.kind, layer.executor, layer.us) == ("a/MatMul", "FullyConnected", "gemm", (500.0, 700.0))


def test_tensorrt_names_nodes_in_metadata(tmp_path: Path) -> None:
    text = json.dumps([{"count": 10}, {"name": "L1", "timeMs": 5.0, "averageMs": 0.5}])
    assert format_of(text, HERE) == "trt"
    layers = {"Layers": [{"Name": "L1", "Metadata": "[ONNX Layer: a/Mat[0]]\x1f[ONNX Layer: a/Add]"}]}
    (tmp_path / "l.json").write_text(json.dumps(layers))
    (layer,) = tensorrt_layers(text, HERE, tmp_path / "l.json")
    assert (layer.us, layer.originals) == ((500.0,), ("a/Mat[0]", "a/Add"))


@pytest.mark.parametrize(
    ("name", "originals", "near"),
    [
        ("a/Conv + a/Relu", ("a/Conv", "a/Relu"), ()),
        ("PWN(PWN(a/Sigmoid), a/Mul)", ("a/Sigmoid), a/Mul",), ()),
        ("Reformatting CopyNode for Input Tensor 0 to a/Conv + a/Relu", (), ("a/Conv", "a/Relu")),
        ("{ForeignNode[a/Shape...b/Add]}", (), ("a/Shape", "b/Add")),
    ],
)
def test_tensorrt_names_that_are_put_together(name: str, originals: tuple[str, ...], near: tuple[str, ...]) -> None:
    (layer,) = tensorrt_layers(json.dumps([{"name": name, "averageMs": 1}]), HERE)
    assert (layer.originals, layer.near) == (originals, near)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "is no profile of"),
        ("[1]", "is no profile of"),
        ("", "is no profile of"),
        (f'{{"format": "{OPENVINO_FORMAT}"}}', "holds no list 'layers'"),
        (f'{{"format": "{OPENVINO_FORMAT}", "layers": [{{"us": ["x"]}}]}}', "are no numbers"),
        ("layerName;execStatus;layerType;execType;realTime (ms)\na;EXECUTED;b;c;x\n", "is no time"),
        ("layerName;execStatus;layerType;execType;realTime (ms)\n", "no layer that ran"),
    ],
)
def test_what_is_no_profile_is_refused(text: str, sentence: str) -> None:
    read = format_of if sentence.startswith("is no profile") else openvino_layers
    with pytest.raises(TaggerError, match=sentence):
        read(text, HERE)
