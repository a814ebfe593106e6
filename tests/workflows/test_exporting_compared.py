"""What an export says of its file: warnings of the tracer, and whether it computes what the model does."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.cli import main

pytest.importorskip("onnxruntime")

X = (torch.randn(2, 4),)


class Branch(nn.Module):
    """Its trace holds one way of two, and says so twice in one line."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        for _ in range(2):
            if y.sum() > -1e9:
                y = y + 1
        return y


def test_warnings_of_the_tracer_are_notes(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    report = ot.export(Branch(), X, tmp_path / "m.onnx").report
    lines, first = inspect.getsourcelines(Branch.forward)
    line = first + next(i for i, text in enumerate(lines) if "if y.sum()" in text)
    assert report.strategy == "htp"
    assert [note for note in report.fallbacks if note.startswith("htp: ")] == [
        f"htp: {__file__}:{line}: Converting a tensor to a Python boolean might cause the trace to be incorrect"
    ]
    assert not recwarn.list
    assert report.compared is not None
    assert report.compared["agrees"]


def test_a_warning_inside_of_torch_is_of_the_line_that_calls_it(tmp_path: Path) -> None:
    class Reads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(x, (int(x.max() > 1e9), 1))

    report = ot.export(Reads(), X, tmp_path / "m.onnx", strategy="htp").report
    assert any(note.startswith(f"htp: {__file__}:") for note in report.fallbacks)


def wrong(path: Path) -> None:
    """Have a file compute something else: its weights are doubled."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * 2, tensor.name))
    onnx.save(model, path)


@pytest.fixture
def broken_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter whose file computes something else than the model."""
    from onnx_tagger.exporters.fx import FxExporter

    original = FxExporter.export

    def export(self: FxExporter, request: Any, captured: Any) -> Any:
        made = original(self, request, captured)
        wrong(request.path)
        return made

    monkeypatch.setattr(FxExporter, "export", export)


@pytest.mark.usefixtures("broken_exporter")
def test_a_file_that_computes_something_else_is_kept_and_told(tmp_path: Path) -> None:
    made = ot.export(nn.Linear(4, 3), X, tmp_path / "m.onnx")
    assert not made.report.ok
    assert made.path.exists()
    assert made.report.compared is not None
    assert not made.report.compared["agrees"]
    assert f"{made.path}: on the example inputs, the output 'linear' is off by" in made.report.failures[-1]
    skipped = ot.export(nn.Linear(4, 3), X, tmp_path / "m.onnx", compare=False).report
    assert (skipped.ok, skipped.compared) == (True, None)
    assert "compare" not in [phase.name for phase in skipped.phases]


SOURCE = """
import torch
def make():
    return torch.nn.Linear(4, 3), (torch.randn(2, 4),)
"""


@pytest.mark.usefixtures("broken_exporter")
def test_the_command_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "linear_source.py").write_text(SOURCE)
    line = ["export", f"{tmp_path}/linear_source.py:make", "-o", f"{tmp_path}/m.onnx"]
    assert main.run([*line, "--quiet", "--report", f"{tmp_path}/r.json"]) == 1
    assert capsys.readouterr().err.startswith(f"onnx-tagger: {tmp_path}/m.onnx: on the example inputs, the output")
    assert (tmp_path / "m.onnx").exists()
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["ok"], report["compared"]["agrees"]) == (False, False)
    assert main.run([*line, "--no-compare"]) == 0


def test_the_command_sets_names_and_shapes(tmp_path: Path) -> None:
    (tmp_path / "linear_source.py").write_text(SOURCE)
    (tmp_path / "shapes.json").write_text('{"input": {"0": "rows"}}')
    line = ["export", f"{tmp_path}/linear_source.py:make", "-o", f"{tmp_path}/m.onnx", "--input-names", "a"]
    assert main.run([*line, "--output-names", "b", "--dynamic-shapes", f"{tmp_path}/shapes.json"]) == 0
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert (graph.input[0].name, graph.output[0].name) == ("a", "b")
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Counts(nn.Module):
    """Changes a buffer in place and another one by assignment."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("last", torch.zeros(2, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        self.last = x * self.count
        return self.last


@pytest.mark.parametrize("strategy", ["fx", "htp"])
@pytest.mark.parametrize("model", [Noise(), nn.Dropout(0.5)], ids=["noise", "dropout"])
def test_random_models_do_not_fail(strategy: str, model: nn.Module, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    report = ot.export(model, X, tmp_path / "m.onnx", strategy=strategy).report
    assert report.ok, report.failures
    assert torch.equal(torch.get_rng_state(), state)
    random = isinstance(model, Noise)
    assert ("not compared with torch: the model is not deterministic" in report.fallbacks) == random
    assert (report.compared is None) == random


def test_each_run_begins_with_the_model_as_it_is_and_leaves_it_so() -> None:
    from onnx_tagger.exporters.outputs import runs_of

    model = Counts().train()
    held = dict(model.named_buffers())
    with runs_of(model, X, {}) as runs:
        assert all(np.array_equal(next(runs)[0], X[0]) for _ in range(2))
    assert model.training
    assert all(buffer is held[name] and not buffer.any() for name, buffer in model.named_buffers())


@dataclass
class Pair:
    one: torch.Tensor
    two: torch.Tensor


class OfPairs(nn.Module):
    """Takes a dataclass and returns one, with a layer behind each of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, pair: Pair) -> Pair:
        return Pair(self.linear(pair.one) - pair.two, pair.one + pair.two)


@pytest.mark.parametrize("strategy", ["fx", "htp"])
@pytest.mark.parametrize("names", [(), ("two", "one")], ids=["own names", "chosen names"])
def test_every_tensor_of_a_dataclass_is_compared(strategy: str, names: tuple[str, ...], tmp_path: Path) -> None:
    args = (Pair(torch.randn(2, 4), torch.randn(2, 4)),)
    report = ot.export(OfPairs(), args, tmp_path / "m.onnx", strategy=strategy, input_names=names).report
    assert report.ok, report.failures
    assert report.compared is not None
    assert (report.compared["outputs"], report.compared["agrees"]) == (2, True)


@pytest.mark.usefixtures("broken_exporter")
def test_a_model_that_counts_its_calls_is_no_random_one(tmp_path: Path) -> None:
    class Weighted(Counts):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(self.linear(x))

    report = ot.export(Weighted(), X, tmp_path / "m.onnx", strategy="fx").report
    assert report.failures
    assert "off by" in report.failures[-1]


def test_a_file_that_onnxruntime_does_not_take_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel for Foo(1).\nMore of it")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    report = ot.export(nn.Linear(4, 3), X, tmp_path / "m.onnx", strategy="htp").report
    assert (report.ok, report.compared) == (True, None)
    assert report.fallbacks == ["not compared with torch: onnxruntime does not load the file (no kernel for Foo(1))"]


def test_without_onnxruntime_nothing_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_tagger.workflows import exporting

    monkeypatch.setattr(exporting, "is_installed", lambda name: name != "onnxruntime")
    report = ot.export(nn.Linear(4, 3), X, tmp_path / "m.onnx", strategy="htp").report
    assert (report.ok, report.compared, report.fallbacks) == (True, None, [])


def test_half_precision_is_compared_or_said_not_to_be(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        report = ot.export(nn.Linear(4, 3).to(dtype), (X[0].to(dtype),), tmp_path / "m.onnx", strategy="htp").report
        assert report.ok, report.failures
        assert report.compared is not None or any("not compared with torch" in note for note in report.fallbacks)


def test_torchs_namespace_gives_way_and_comes_back(tmp_path: Path) -> None:
    """Also on a file that plain torch wrote, which strip gives back byte for byte."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    plain, tagged, back = (tmp_path / name for name in ("plain.onnx", "tagged.onnx", "back.onnx"))
    torch.onnx.export(model, X, plain, dynamo=True, verbose=False)
    report = ot.retag(plain, None, tagged, also=["namespace"])
    assert report.fallbacks == []
    assert ot.check(tagged, dialect="namespace").ok
    spaces = [e.value for n in onnx.load(tagged).graph.node for e in n.metadata_props if e.key == "namespace"]
    assert spaces == ["Sequential/Linear.0", "Sequential/ReLU.1"]
    ot.retag(tagged, None, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == tagged.read_bytes()
    ot.strip(tagged, back)
    assert back.read_bytes() == plain.read_bytes()


def test_a_source_s_namespace_is_that_of_its_own_name(tmp_path: Path) -> None:
    from onnx_tagger.exporters.sources.loading import load_source

    (tmp_path / "my_net.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return x.relu()\n"
        "def make(): return Net(), torch.ones(2)\n"
    )
    source = load_source(f"{tmp_path}/my_net.py:make")
    made = ot.export(source.model, source.args, tmp_path / "m.onnx", strategy="fx")
    (node,) = onnx.load(made.path).graph.node
    assert next(e.value for e in node.metadata_props if e.key == "namespace").startswith(": my_net.Net/")
