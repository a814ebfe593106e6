"""Comparing files with models, files and recordings: seeded errors are found where they are, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import onnx_tagger as ot
from examples.faulty import Net, net, spoiled
from onnx_tagger.runtime.sessions import optimise

MODULES = ["blocks.0.norm", "blocks.0.up", "blocks.0.down", "blocks.1.norm", "blocks.1.up", "blocks.1.down", "head"]


@pytest.fixture(name="model", scope="module")
def _model() -> tuple[Net, tuple[torch.Tensor]]:
    return net()


@pytest.fixture(name="files", scope="module")
def _files(model: tuple[Net, tuple[torch.Tensor]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fx.onnx and htp.onnx, and what onnxruntime makes of fx.onnx without its tags."""
    folder = tmp_path_factory.mktemp("files")
    for strategy in ("fx", "htp"):
        ot.export(model[0], model[1], folder / f"{strategy}.onnx", strategy=strategy)
    optimise(folder / "fx.onnx", folder / "bare.onnx")
    return folder


@pytest.fixture(name="recording", scope="module")
def _recording(model: tuple[Net, tuple[torch.Tensor]]) -> ot.Recording:
    return ot.record(*model)


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_fresh_export_agrees(strategy: str, files: Path, model: tuple[Net, tuple[torch.Tensor]]) -> None:
    found = ot.compare(model[0], files / f"{strategy}.onnx", model[1])
    assert found.ok
    assert found.first_bad is None
    assert {"blocks.0.norm", "blocks.1.act", "blocks.0", "head"} <= found.visible
    assert found.hidden["blocks.0.drop"] == "not visible: it hands on what it takes"
    assert found.covered == 100.0
    worst = found.modules.whole["local error"]
    assert worst is not None
    assert worst < 1e-6


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_an_error_is_found_where_it_is(
    strategy: str, module: str, files: Path, recording: ot.Recording, tmp_path: Path
) -> None:
    spoiled(files / f"{strategy}.onnx", tmp_path / "bad.onnx", module, 1.001)
    found = ot.compare(recording, tmp_path / "bad.onnx")
    assert list(found.bad) == [module]
    assert found.first_bad == module
    assert found.failures[0].startswith(f"{module}: is off by ")
    later = next(error for error in found.tensors if error.module == "head")
    assert later.accumulated is not None
    assert later.accumulated > later.tolerance


def test_two_errors_are_both_found_and_nothing_else(files: Path, recording: ot.Recording, tmp_path: Path) -> None:
    spoiled(files / "fx.onnx", tmp_path / "one.onnx", "blocks.0.up")
    spoiled(tmp_path / "one.onnx", tmp_path / "two.onnx", "blocks.1.down")
    assert list(ot.compare(recording, tmp_path / "two.onnx").bad) == ["blocks.0.up", "blocks.1.down"]
    first = ot.compare(recording, tmp_path / "two.onnx", stop_at_first=True)
    assert first.first_bad == "blocks.0.up"


def test_a_file_without_tags_is_tagged_by_its_reference(
    files: Path, model: tuple[Net, tuple[torch.Tensor]], tmp_path: Path
) -> None:
    for reference, given in ((model[0], model[1]), (files / "fx.onnx", {"x": model[1][0].numpy()})):
        found = ot.compare(reference, files / "bare.onnx", given)
        assert found.ok, found.failures
        assert len(found.tensors) > 8
    tagged = tmp_path / "tagged.onnx"
    ot.retag(files / "bare.onnx", files / "fx.hierarchy.json", tagged)
    spoiled(tagged, tmp_path / "bad.onnx", "blocks.1.down")
    assert ot.compare(model[0], tmp_path / "bad.onnx", model[1]).first_bad == "blocks.1.down"


def test_a_file_beside_a_file_on_random_values(files: Path, tmp_path: Path) -> None:
    assert ot.compare(files / "fx.onnx", files / "htp.onnx").ok
    spoiled(files / "fx.onnx", tmp_path / "bad.onnx", "blocks.1.up")
    found = ot.compare(files / "fx.onnx", tmp_path / "bad.onnx", samples=2)
    assert (found.samples, list(found.bad)) == (2, ["blocks.1.up"])


def test_a_recording_stands_for_the_model(files: Path, recording: ot.Recording, tmp_path: Path) -> None:
    recording.save(tmp_path / "r.npz")
    assert ot.compare(tmp_path / "r.npz", files / "htp.onnx").ok
    with pytest.raises(ot.TaggerError, match="holds one sample; give the model for more"):
        ot.compare(recording, files / "htp.onnx", samples=2)
    with pytest.raises(ot.TaggerError, match="has no values of operations; give the model itself for those"):
        ot.compare(recording, files / "htp.onnx", ops=True)


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_the_node_at_fault_is_named(
    strategy: str, files: Path, model: tuple[Net, tuple[torch.Tensor]], tmp_path: Path
) -> None:
    node = spoiled(files / f"{strategy}.onnx", tmp_path / "bad.onnx", "blocks.0.up")
    found = ot.compare(model[0], tmp_path / "bad.onnx", model[1], ops=True)
    assert [suspect.node for suspect in found.operations] == [node]
    given = {"x": model[1][0].numpy()}
    found = ot.compare(files / f"{strategy}.onnx", tmp_path / "bad.onnx", given, ops=True)
    assert [suspect.node for suspect in found.operations] == [node]


def test_numbers_that_are_none_are_found_where_they_begin(files: Path, recording: ot.Recording, tmp_path: Path) -> None:
    spoiled(files / "fx.onnx", tmp_path / "bad.onnx", "blocks.0.down", float("nan"))
    found = ot.compare(recording, tmp_path / "bad.onnx")
    assert found.first_bad == "blocks.0.down"
    assert [error.module for error in found.tensors if error.wild] == ["blocks.0.down"]
    assert "has NaN or infinite numbers that the reference has not" in found.failures[0]


def test_half_precision_is_no_error_and_one_in_it_is_found(
    files: Path, recording: ot.Recording, tmp_path: Path
) -> None:
    model = onnx.load(files / "fx.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "half.onnx")
    found = ot.compare(recording, tmp_path / "half.onnx")
    assert found.ok, found.failures
    assert {error.kind for error in found.tensors} == {"float16"}
    spoiled(tmp_path / "half.onnx", tmp_path / "single.onnx", "blocks.0.up")
    bad = onnx.load(tmp_path / "single.onnx")
    for tensor in bad.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    onnx.save(bad, tmp_path / "bad.onnx")
    assert list(ot.compare(recording, tmp_path / "bad.onnx").bad) == ["blocks.0.up"]


@pytest.mark.parametrize(("metric", "tolerance"), [("max", None), ("cosine", None), ("ulp", None), ("sqnr", 1e-4)])
def test_other_metrics_find_it_too(
    metric: str, tolerance: float | None, files: Path, recording: ot.Recording, tmp_path: Path
) -> None:
    assert ot.compare(recording, files / "fx.onnx", metric=metric, tolerance=tolerance).ok
    node = spoiled(files / "fx.onnx", tmp_path / "bad.onnx", "blocks.0.up", 1.5)
    assert node
    found = ot.compare(recording, tmp_path / "bad.onnx", metric=metric, tolerance=tolerance)
    # A weight that is scaled as a whole turns what it makes but a little, by its bias.
    assert found.first_bad == "blocks.0.up"


def test_a_larger_tolerance_lets_it_pass(files: Path, recording: ot.Recording, tmp_path: Path) -> None:
    spoiled(files / "fx.onnx", tmp_path / "bad.onnx", "head", 1.001)
    assert ot.compare(recording, tmp_path / "bad.onnx", tolerance=0.1).ok


def test_several_outputs_of_one_shape_are_told_apart(tmp_path: Path) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.other(x).tanh(), self.one(x).tanh()

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = self.pair(x)
            return a * 2 + b

    torch.manual_seed(0)
    model, args = Twice().eval(), (torch.randn(2, 4),)
    ot.export(model, args, tmp_path / "m.onnx")
    assert ot.compare(model, tmp_path / "m.onnx", args).ok
    spoiled(tmp_path / "m.onnx", tmp_path / "bad.onnx", "pair.one")
    assert list(ot.compare(model, tmp_path / "bad.onnx", args).bad) == ["pair.one"]


def test_a_module_called_twice_is_compared_call_by_call(tmp_path: Path) -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.cell(self.cell(x).relu())

    torch.manual_seed(0)
    model, args = Again().eval(), (torch.randn(2, 4),)
    ot.export(model, args, tmp_path / "m.onnx")
    found = ot.compare(model, tmp_path / "m.onnx", args)
    assert found.ok
    assert {error.call for error in found.tensors} >= {"cell@0", "cell@1"}


def test_what_cannot_be_compared(files: Path, tmp_path: Path, recording: ot.Recording) -> None:
    bare = onnx.load(files / "fx.onnx")
    for node in bare.graph.node:
        del node.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    named = ot.compare(recording, tmp_path / "bare.onnx")
    assert named.notes[-1] == "the file has neither tags nor a map: its modules are those that its own names spell"
    silent = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "Relu_1")], "g", [], [])
    onnx.save(helper.make_model(silent), tmp_path / "silent.onnx")
    with pytest.raises(ot.TaggerError, match=r"says nothing of modules, and neither does the recording; give --map"):
        ot.compare(recording, tmp_path / "silent.onnx")
    assert ot.compare(recording, tmp_path / "bare.onnx", map=files / "fx.hierarchy.json").ok
    random = helper.make_node("RandomNormalLike", ["x"], ["noise"])
    bare.graph.node.insert(0, random)
    onnx.save(bare, tmp_path / "random.onnx")
    with pytest.raises(ot.TaggerError, match="is random, so no two runs agree"):
        ot.compare(recording, tmp_path / "random.onnx", map=files / "fx.hierarchy.json")
    other = nn.Sequential(nn.Linear(3, 3)).eval()
    ot.export(other, (torch.ones(1, 3),), tmp_path / "other.onnx")
    with pytest.raises(ot.TaggerError, match=r"none of its tensors|does not run on these inputs"):
        ot.compare(recording, tmp_path / "other.onnx")


def test_a_model_that_gives_other_values_each_time(files: Path, tmp_path: Path) -> None:
    class Noisy(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x + self.shift())

        def shift(self) -> float:
            self.__dict__["count"] = np.random.default_rng().random()
            return float(self.__dict__["count"])

    model, args = net()
    noisy = Noisy().eval()
    noisy.load_state_dict(model.state_dict())
    with pytest.raises(ot.TaggerError, match="Noisy: gives other values in each run"):
        ot.compare(noisy, files / "fx.onnx", args)


def test_a_comparison_is_kept_in_a_file(files: Path, recording: ot.Recording, tmp_path: Path) -> None:
    spoiled(files / "fx.onnx", tmp_path / "bad.onnx", "head")
    found = ot.compare(recording, tmp_path / "bad.onnx")
    found.save(tmp_path / "c.json")
    again = ot.Comparison.load(tmp_path / "c.json")
    assert again.as_dict() == found.as_dict()
    assert (again.first_bad, again.ok) == ("head", False)
    (tmp_path / "c.json").write_text((tmp_path / "c.json").read_text().replace('"sqnr"', '"psnr"'))
    with pytest.raises(ot.TaggerError, match="metric: "):
        ot.Comparison.load(tmp_path / "c.json")
