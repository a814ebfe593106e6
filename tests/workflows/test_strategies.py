"""The strategies side by side: what is compared, and that the decision is that of an export."""

import tempfile
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from examples.factories import MODELS
from onnx_tagger.exporters.sources.loading import load_source
from onnx_tagger.model.graph import walk
from onnx_tagger.workflows import exporting
from onnx_tagger.workflows.strategies import compare, without_metadata


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models.py; temporary files go to its folder `left`."""
    (tmp_path / "models.py").write_text(MODELS, encoding="utf-8")
    (tmp_path / "left").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "left"))
    return tmp_path


def plain_model() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 4)]
    return torch.nn.Sequential(*layers).eval(), (torch.randn(3, 4),)


def test_options_reach_every_export_and_phases_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, told = {}, []
    export = exporting.export

    def watched(*args: object, **options: object) -> exporting.Export:
        made = export(*args, **options)
        if options.get("dynamic"):
            model = onnx.load(made.path)
            dims = [dim.dim_param != "" for dim in model.graph.input[0].type.tensor_type.shape.dim]
            shapes[options["strategy"]] = dims, model.opset_import[0].version
        return made

    monkeypatch.setattr(exporting, "export", watched)
    model, args = plain_model()
    compare(model, args, opset=19, dynamic=True, progress=told.append)
    assert {name: any(dims) for name, (dims, _) in shapes.items()} == {"fx": True, "htp": True}
    assert {version for _, version in shapes.values()} == {19}
    steps = ["load the exporters", "usage: capture", "fx: export", "htp: export", "usage: tag"]
    assert [step for step in told if step in steps] == steps


def test_the_decision_is_that_of_an_export(folder: Path) -> None:
    source = load_source("models.py:depends_on_values")
    model, args = source.model, source.args
    found = compare(model, args)
    report = exporting.export(model, args, folder / "auto.onnx", strategy="auto").report
    assert report.strategy == found.auto
    assert report.fallbacks[0] == f"auto took htp, since fx: {found.since['fx']}"


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_tagged_file_without_metadata_is_the_bare_export_without_it(strategy: str, tmp_path: Path) -> None:
    model, args = plain_model()
    files = [tmp_path / f"{number}.onnx" for number in range(4)]
    exporting.export(model, args, files[0], strategy=strategy)
    exporting.export(model, args, files[1], strategy=strategy, tag=False)
    for source, target in zip(files, files[2:], strict=False):
        without_metadata(source, target)
    assert onnx.load(files[2]) == onnx.load(files[3])


def test_bodies_lose_their_metadata_too_and_nothing_else_changes(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Neg", ["x"], [name], f"/inner/{name}", doc_string="inner")
        node.metadata_props.add(key="namespace", value="/inner")
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])])

    node = helper.make_node("If", ["c"], ["y"], "", "a doc", then_branch=branch("yes"), else_branch=branch("no"))
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['']")
    inputs = [
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph)
    model.metadata_props.add(key="pkg.onnx_tagger.version", value="1")
    onnx.save(model, tmp_path / "full.onnx")
    without_metadata(tmp_path / "full.onnx", tmp_path / "bare.onnx")
    for op in walk(model).ops:
        op.node.ClearField("metadata_props")
        op.node.ClearField("doc_string")
    model.ClearField("metadata_props")
    assert onnx.load(tmp_path / "bare.onnx") == model


def test_a_model_without_weights_is_compared(folder: Path) -> None:
    class Bare(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sin() * x

    found = compare(Bare(), torch.randn(2, 3))
    assert [outcome.reason for outcome in found.outcomes] == ["", "", ""]
    usage = found.outcomes[2].report
    assert usage is not None
    assert usage.tagged == usage.nodes > 0
