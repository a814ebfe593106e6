"""Files quantised by module: only what was chosen, tagged, and as good as was asked for or told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_tagger as ot
from examples.quantised import net, samples
from onnx_tagger.runtime.quantising.quantisers import Way
from onnx_tagger.workflows.quantising import quantizing

pytest.importorskip("onnxruntime")


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    return net(tmp_path / "m.onnx")


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_static(model: Path, tmp_path: Path) -> None:
    found = ot.quantize(model, tmp_path / "q.onnx", data=samples(), keep=["head"])
    assert found.ok
    assert found.coverage == 100.0
    assert ot.check(tmp_path / "q.onnx").ok
    assert {each.module: each.precision for each in found.modules} == {
        "block.up": "int8",
        "block.down": "int8",
        "head": "fp32",
    }
    assert found.chosen.sqnr is not None
    assert found.chosen.sqnr > 30
    assert operators(tmp_path / "q.onnx").count("MatMul") == 3
    # The head reads what the block gives, and no rounded copy of it.
    graph = onnx.load(tmp_path / "q.onnx").graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    head = next(node for node in graph.node if "y" in node.output)
    assert makers.get(head.input[0]) == "MatMul"


def test_dynamic(model: Path, tmp_path: Path) -> None:
    found = ot.quantize(model, tmp_path / "q.onnx", dynamic=True, only=["block"])
    assert operators(tmp_path / "q.onnx").count("MatMulInteger") == 2
    assert operators(tmp_path / "q.onnx").count("MatMul") == 1
    assert ot.check(tmp_path / "q.onnx").ok
    assert found.chosen.sqnr is None
    assert found.chosen.way == "dynamic"


def test_costly_modules_are_kept_until_a_target_is_met(model: Path, tmp_path: Path) -> None:
    plain = ot.quantize(model, tmp_path / "a.onnx", data=samples())
    assert plain.chosen.sqnr is not None
    wanted = plain.chosen.sqnr + 5
    found = ot.quantize(model, tmp_path / "b.onnx", data=samples(), min_sqnr=wanted)
    assert found.ok
    assert found.chosen.kept == ("head",)
    assert found.chosen.sqnr is not None
    assert found.chosen.predicted is not None
    assert found.chosen.sqnr >= wanted
    assert abs(found.chosen.sqnr - found.chosen.predicted) < 3


def test_a_target_that_cannot_be_met_is_told(model: Path, tmp_path: Path) -> None:
    found = ot.quantize(model, tmp_path / "q.onnx", data=samples(), min_sqnr=200)
    assert not found.ok
    assert "at least 200 dB are asked for" in found.failures[0]
    assert (tmp_path / "q.onnx").exists()


def test_a_metric(model: Path, tmp_path: Path) -> None:
    (tmp_path / "closeness_of_outputs.py").write_text(
        "def closeness(run, samples):\n    return -float(sum(abs(run(each)['y']).max() for each in samples))\n"
    )
    named = f"{tmp_path / 'closeness_of_outputs.py'}:closeness"
    found = ot.quantize(model, tmp_path / "q.onnx", data=samples(), metric=named, max_drop=1e6)
    assert found.ok
    assert found.metric_before is not None
    assert found.chosen.metric is not None
    assert found.metric_before != found.chosen.metric
    missed = ot.quantize(model, tmp_path / "q.onnx", data=samples(), metric=named, max_drop=-1e9)
    assert not missed.ok
    assert "the metric drops" in missed.failures[0]


def test_methods_are_compared(model: Path, tmp_path: Path) -> None:
    found = ot.quantize(model, tmp_path / "q.onnx", data=samples(), methods=["minmax", "percentile"])
    assert {each.way for each in found.variants} == {"static qdq minmax", "static qdq percentile"}
    assert found.chosen.sqnr == max(each.sqnr or 0 for each in found.variants)


def test_a_method_that_fails_is_told(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = quantizing.quantise

    def failing(source: Path, target: Path, nodes: list[str], way: Way, *rest: object) -> int:
        if way.method == "entropy":
            raise ot.TaggerError("too many bins")
        return real(source, target, nodes, way, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(quantizing, "quantise", failing)
    found = ot.quantize(model, tmp_path / "q.onnx", data=samples(), methods=["entropy", "minmax"])
    assert [each.error for each in found.variants] == ["too many bins", None]
    with pytest.raises(ot.TaggerError, match="too many bins"):
        ot.quantize(model, tmp_path / "r.onnx", data=samples(), methods=["entropy"])
    assert not (tmp_path / "r.onnx").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give --calibrate DATA, or --dynamic"),
        ({"dynamic": True, "min_sqnr": 10.0}, "is measured on data"),
        ({"dynamic": True, "max_drop": 1.0}, "give both --max-drop"),
        ({"dynamic": True, "methods": ["minmax", "entropy"]}, "leave --methods out"),
        ({"data": samples(), "form": "qbq"}, "did you mean 'qdq'"),
        ({"data": samples(), "methods": ["minimax"]}, "did you mean 'minmax'"),
        ({"data": samples(), "only": ["blok"]}, "blok"),
    ],
)
def test_wrong_usage(model: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ot.TaggerError, match=message):
        ot.quantize(model, tmp_path / "q.onnx", **options)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_quantised_operators_are_tagged_too(model: Path, tmp_path: Path) -> None:
    found = ot.quantize(model, tmp_path / "q.onnx", data=samples(), form="qoperator", per_channel=True)
    assert "QLinearMatMul" in operators(tmp_path / "q.onnx")
    assert found.coverage == 100.0
    assert np.isfinite(found.chosen.sqnr or 0)
