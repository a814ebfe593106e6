"""What a pass manager may be given: models, files, bytes and maps, whole or without weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.report import Report
from onnx_tagger.passes.opening import context_of

TREE = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("fc", "Linear")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    weight = numpy_helper.from_array(np.arange(4096, dtype=np.float32).reshape(64, 64), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], "mm")], "g", ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("given", [Path, str, Path.read_bytes, onnx.load])
def test_each_kind_of_model_has_its_nodes(path: Path, given: type, whole: bool) -> None:
    report = Report()
    ctx = context_of(given(path), TREE, report, whole=whole)
    assert [op.node.name for op in ctx.ops] == ["mm"]
    assert ctx.hierarchy is TREE
    assert ctx.report is report


def test_weights_stay_in_the_file_until_they_are_asked_for(path: Path) -> None:
    ctx = context_of(path, TREE, Report(), whole=False)
    assert not ctx.model.graph.initializer[0].raw_data
    read = ctx.read_values(ctx.model.graph.initializer[0])
    assert read is not None
    assert np.asarray(read).ravel().tolist() == list(range(4096))
    assert context_of(path, TREE, Report(), whole=True).model.graph.initializer[0].raw_data


def test_a_weight_that_cannot_be_read_is_noted_once(path: Path) -> None:
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    path.with_name("w.bin").unlink()
    report = Report()
    ctx = context_of(path, TREE, report, whole=False)
    (weight,) = ctx.model.graph.initializer
    assert [ctx.read_values(weight), ctx.read_values(weight)] == [None, None]
    assert len(report.fallbacks) == 1
    assert "w.bin" in report.fallbacks[0]


def test_without_a_map_the_model_names_its_modules(path: Path) -> None:
    assert context_of(path, None, Report(), whole=False).hierarchy is None


@pytest.mark.parametrize("given", [3, None, []])
def test_what_is_no_model_is_refused(given: object) -> None:
    with pytest.raises(TaggerError, match=r"the model is .*; give an onnx.ModelProto"):
        context_of(given, TREE, Report(), whole=False)  # type: ignore[arg-type]
