"""What TorchScript gives no scope: the code of scripted functions, and what the exporter makes for an operation."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.exporters import htp
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of


# torch has no annotations for its compiler
@torch.jit.script  # type: ignore[untyped-decorator]
def cubed(x: torch.Tensor) -> torch.Tensor:
    return x * x * x


@torch.jit.script  # type: ignore[untyped-decorator]
def waves(x: torch.Tensor, count: int) -> torch.Tensor:
    y = torch.cos(cubed(x))
    for _ in range(count):
        y = torch.sin(y) - x
    return y


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return waves(self.linear(x), 2)


def _modules(path: Path) -> list[tuple[str, str, str, str]]:
    found = []
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        found.append((op.node.op_type, tag.module, " ".join(tag.call), tag.source.label))
    return found


class Typed(nn.Module):
    """Weights of several types and layouts, empty ones, equal ones, and bodies that hold constants."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Parameter(torch.randn(4, 300).t())
        self.register_buffer("short", torch.randn(4, 4).half())
        self.register_buffer("brain", torch.randn(4).bfloat16())
        self.register_buffer("flags", torch.tensor([True, False, True, False]))
        self.register_buffer("steps", torch.arange(4))
        self.register_buffer("one", torch.tensor(2.5, dtype=torch.float64))
        self.conv = nn.Sequential(nn.Conv1d(300, 3, 1), nn.BatchNorm1d(3))
        self.loops = Inner()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.loops(x) @ self.wide.t()
        z = torch.where(self.flags, x.half() @ self.short, self.steps.half())
        return self.conv(y[:, :, None]), z, x.bfloat16() + self.brain, x.double() * self.one


@pytest.mark.parametrize("dynamic", [False, True])
def test_weights_that_torch_hands_out_are_put_where_it_would_have_put_them(dynamic: bool, tmp_path: Path) -> None:
    model, x = Typed().eval(), torch.randn(2, 4)
    plain = io.BytesIO()
    axes = {"x": {0: "x_0", 1: "x_1"}} if dynamic else None
    torch.onnx.export(model, (x,), plain, input_names=["x"], dynamo=False, verbose=False, dynamic_axes=axes)
    tagged = ot.export(model, (x,), tmp_path / "m.onnx", strategy="htp", dynamic=dynamic, verify_bytes=True)
    ot.strip(tagged.path, tmp_path / "stripped.onnx")
    assert (tmp_path / "stripped.onnx").read_bytes() == plain.getvalue()
    bare = ot.export(model, (x,), tmp_path / "bare.onnx", strategy="htp", dynamic=dynamic, tag=False)
    assert bare.path.read_bytes() == plain.getvalue()


def test_what_is_too_large_for_one_message_is_exported_to_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, x = Typed().eval(), torch.randn(2, 4)
    whole = ot.export(model, (x,), tmp_path / "whole.onnx", strategy="htp")
    export, places = torch.onnx.export, []

    def watched(model: nn.Module, args: tuple[object, ...], place: object, **options: Any) -> object:
        places.append(type(place))
        return export(model, args, place, **options)

    monkeypatch.setattr(torch.onnx, "export", watched)
    monkeypatch.setattr(htp, "MAX_MESSAGE", 1000)
    again = ot.export(model, (x,), tmp_path / "again.onnx", strategy="htp")
    assert places == [io.BytesIO, str]
    assert again.path.read_bytes() == whole.path.read_bytes()


class Writes(nn.Module):
    """Writes into a part of a tensor: with open shapes torch makes ranges and shapes for it that have no scope."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        y[:, 0] = x[:, 0] * 2
        return y


def test_what_the_exporter_makes_for_an_operation_is_the_operations(tmp_path: Path) -> None:
    model = nn.Sequential(Writes(), nn.Tanh())
    exported = ot.export(model, (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="htp", dynamic=True)
    assert {row[1:] for row in _modules(exported.path) if row[0] in ("Shape", "Range", "ScatterND")} == {
        ("0", "", "exported")
    }
    assert exported.report.by_source["exported"] == exported.report.nodes


def test_the_default_state_of_a_recurrent_layer_is_the_layers(tmp_path: Path) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0])

    exported = ot.export(Recurrent(), (torch.randn(2, 3, 4),), tmp_path / "m.onnx", strategy="htp")
    assert exported.report.by_source["exported"] == exported.report.nodes
    assert {row[1] for row in _modules(exported.path)} == {"cell", "head"}


def test_a_constant_that_one_module_made_and_others_read_is_of_all_of_them(tmp_path: Path) -> None:
    class Upper(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.triu(x) + x

    exported = ot.export(nn.Sequential(Upper(), Upper()), (torch.randn(4, 4),), tmp_path / "m.onnx", strategy="htp")
    tags = [own_tag(props_of(op.node)) for op in walk(onnx.load(exported.path)).ops if op.node.op_type == "Constant"]
    assert [(tag.module, tag.origins) for tag in tags if tag is not None] == [("", ("0", "1"))]


def test_torch_is_left_as_it_was_also_by_an_export_that_fails(tmp_path: Path) -> None:
    class Never(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten._linalg_eigvals(waves(x, 1)).abs()

    passes = {name: value for name, value in vars(torch._C).items() if name.startswith("_jit_")}
    written = torch._C.Graph._export_onnx
    with pytest.raises(ot.TaggerError):
        ot.export(Never(), (torch.randn(3, 3),), tmp_path / "m.onnx", strategy="htp")
    assert {name: value for name, value in vars(torch._C).items() if name.startswith("_jit_")} == passes
    assert torch._C.Graph._export_onnx is written


def _stored(data: bytes) -> dict[str, bytes]:
    return {tensor.name: tensor.raw_data for tensor in onnx.load_from_string(data).graph.initializer}


def _values(model: nn.Module) -> dict[str, bytes]:
    return {name: value.detach().numpy().tobytes() for name, value in model.named_parameters()}


def _by_torch(model: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.onnx.export(model, (torch.ones(2, 4),), buffer, dynamo=False, verbose=False)
    return buffer.getvalue()


class Runs(nn.Module):
    """Has something else happen while it runs under the exporter."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self.linear, self.meanwhile = nn.Linear(4, 4), meanwhile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            self.meanwhile()
        return self.linear(x)


def test_threads_export_each_its_own_weights(tmp_path: Path) -> None:
    written = torch._C.Graph._export_onnx

    def exported(number: int) -> bool:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        made = ot.export(model, (torch.ones(2, 4),), tmp_path / f"{number}.onnx", strategy="htp", verify_bytes=True)
        return _stored(made.path.read_bytes()) == _values(model) and made.report.by_source["exported"] == 2

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(exported, range(9)))
    assert torch._C.Graph._export_onnx is written


def test_one_thread_captures_and_exports_while_others_wait(tmp_path: Path) -> None:
    def meanwhile() -> None:
        captures.append(pool.submit(ot.capture, nn.Linear(4, 4), (torch.ones(2, 4),)))
        done.extend(wait(captures, timeout=0.3).done)

    captures: list[Future[HierarchyMap]] = []
    done: list[Future[HierarchyMap]] = []
    model = Runs(meanwhile)
    with ThreadPoolExecutor(1) as pool:
        exported = ot.export(model, (torch.ones(2, 4),), tmp_path / "m.onnx", strategy="htp")
        assert captures[0].result().parameters
    assert not done
    assert _stored(exported.path.read_bytes()) == _values(model)


def test_what_others_put_over_our_wrappers_stays_and_ours_do_nothing_anymore(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graphs: Any = torch._C.Graph
    monkeypatch.setattr(graphs, "_export_onnx", graphs._export_onnx)
    theirs: list[Any] = []

    def wrap() -> None:
        inner = graphs._export_onnx
        theirs.append(lambda *args: inner(*args))
        graphs._export_onnx = theirs[-1]

    model = Runs(wrap)
    exported = ot.export(model, (torch.ones(2, 4),), tmp_path / "m.onnx", strategy="htp")
    assert graphs._export_onnx is theirs[-1]
    model.meanwhile = lambda: None
    assert _stored(exported.path.read_bytes()) == _stored(_by_torch(model)) == _values(model)


def test_an_export_by_torch_in_another_thread_keeps_its_weights() -> None:
    model = nn.Linear(4, 4)
    with htp._values_apart(True) as values, ThreadPoolExecutor(1) as pool:
        assert _stored(pool.submit(_by_torch, model).result()) == _values(model)
        assert not values


def test_values_that_are_lost_on_the_way_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graphs: Any = torch._C.Graph
    export = graphs._export_onnx

    def losing(*args: Any) -> Any:
        model, given, *rest = export(*args)
        return model, {name: value for name, value in given.items() if "bias" not in name}, *rest

    monkeypatch.setattr(graphs, "_export_onnx", losing)
    with pytest.raises(ot.TaggerError, match="placeholder for the values of 'bias', which are lost"):
        ot.export(nn.Linear(4, 4), (torch.ones(2, 4),), tmp_path / "m.onnx", strategy="htp")
    assert not list(tmp_path.iterdir())
