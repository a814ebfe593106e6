"""Scripted code in a trace: whose it is, and marks that leave no trace in the file."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import onnx_tagger as ot
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


class Scripted(nn.Module):
    """Calls scripted functions between its children, right behind a call made in a child, and twice in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = Inner(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(waves(cubed(self.inner(self.inner(x))), 3))


def _modules(path: Path) -> list[tuple[str, str, str, str]]:
    found = []
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        found.append((op.node.op_type, tag.module, " ".join(tag.call), tag.source.label))
    return found


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_code_of_a_scripted_function_is_its_callers(dynamic: bool, tmp_path: Path) -> None:
    model = Scripted()
    exported = ot.export(model, (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="htp", dynamic=dynamic)
    assert exported.report.by_source["exported"] == exported.report.nodes, exported.report.by_source
    found = [row[:3] for row in _modules(exported.path) if row[0] in ("Gemm", "Mul", "Cos", "Loop", "Sin", "Sub")]
    function = ("Cos", "Loop", "Sin", "Sub")
    want = []
    for call in ("@0", "@1"):
        want.append(("Gemm", "inner.linear", f"inner{call}.linear"))
        want.extend((kind, "inner", f"inner{call}") for kind in ("Mul", "Mul", *function))
    want.extend((kind, "", "") for kind in ("Mul", "Mul", "Mul", "Mul", *function))
    assert sorted(found) == sorted([*want, ("Gemm", "last", "")])


def test_marks_on_scripted_code_leave_no_trace_in_the_file(tmp_path: Path) -> None:
    model, x = Scripted(), torch.randn(2, 4)
    plain = io.BytesIO()
    torch.onnx.export(model, (x,), plain, input_names=["x"], dynamo=False, verbose=False)
    tagged = ot.export(model, (x,), tmp_path / "m.onnx", strategy="htp")
    ot.strip(tagged.path, tmp_path / "stripped.onnx")
    assert (tmp_path / "stripped.onnx").read_bytes() == plain.getvalue()


class Line(nn.Module):
    """A convolution into which the exporter folds its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


class RunTwice(nn.Module):
    """Calls a recurrent layer, which the exporter never merges, twice on one input, and what follows it, too."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.line = nn.GRU(4, 4, batch_first=True), Line()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = (self.line(self.cell(x)[0].transpose(1, 2)) for _ in range(2))
        return one * torch.sigmoid(other)


def test_what_follows_a_repeated_call_that_was_kept_was_kept_too(tmp_path: Path) -> None:
    exported = ot.export(RunTwice(), (torch.randn(2, 3, 4),), tmp_path / "m.onnx", strategy="htp")
    found = []
    for op in walk(onnx.load(exported.path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None
        if op.node.op_type == "Conv":
            found.append((tag.origins, tag.call))
    origins = ("line.conv", "line.norm")
    assert found == [(origins, (f"line@{call}.conv", f"line@{call}.norm")) for call in (0, 1)]
