"""What is called again, by itself or with the same input, is exported by both strategies, each call told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

pytest.importorskip("onnxruntime")

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import feeds_of, judge, observe, tensors_of
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of

Row = tuple[str, str, tuple[str, ...]]


def _exported(model: nn.Module, x: torch.Tensor, path: Path, strategy: str) -> list[Row]:
    """Operator, module and calls of each node that is no constant; the file must compute what the model does."""
    model.eval()
    with torch.no_grad():
        want = model(x)
    made = ot.export(model, (x,), path, strategy=strategy)
    feeds = feeds_of(path, model, (x,), {})
    values = tensors_of(path, feeds)
    for output, expected in zip(
        onnx.load(path).graph.output, want if isinstance(want, tuple) else (want,), strict=True
    ):
        np.testing.assert_allclose(values[output.name], expected.numpy(), rtol=1e-4, atol=1e-5)
    judgement = judge(path, made.hierarchy, observe(model, (x,), {}), feeds)
    assert set(judgement.verdicts) == {"right"}, judgement.details
    rows = []
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        if op.node.op_type != "Constant":
            assert not tag.origins, op.label
            rows.append((op.node.op_type, tag.module, tag.call))
    return rows


class Chain(nn.Module):
    """Several weighted steps, with a number of Python's between them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.tanh(self.norm(self.one(x)) * 0.5))


class Heads(nn.Module):
    """Runs one chain twice on one input, or on one that another module makes: exporters merge the equal calls."""

    def __init__(self, stem: bool) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4) if stem else nn.Identity()
        self.chain = Chain()
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        return self.left(self.chain(x)), self.right(self.chain(x))


@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_equal_calls_that_an_exporter_merges_are_all_of_the_node_s(strategy: str, stem: bool, tmp_path: Path) -> None:
    def both(path: str) -> tuple[str, str]:
        return f"chain@0{path}", f"chain@1{path}"

    want: list[Row] = [("Gemm", "stem", ())] if stem else []
    want += [
        ("Gemm", "chain.one", both(".one")),
        ("LayerNormalization", "chain.norm", both(".norm")),
        ("Mul", "chain", both("")),
        ("Tanh", "chain", both("")),
        ("Gemm", "chain.two", both(".two")),
        ("Gemm", "left", ()),
        ("Gemm", "right", ()),
    ]
    assert _exported(Heads(stem), torch.randn(2, 4), tmp_path / "m.onnx", strategy) == want


class Augments(nn.Module):
    """The root calls itself with other arguments, as averaging over flipped inputs does."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, flips: bool = True) -> torch.Tensor:
        if flips:
            return self(x, flips=False) * self.forward(x.sin(), False)
        assert "forward" not in self.__dict__
        return self.fc(x)


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_root_may_call_itself(strategy: str, tmp_path: Path) -> None:
    rows = _exported(Augments(), torch.randn(2, 4), tmp_path / "m.onnx", strategy)
    assert sorted(row[:2] for row in rows) == [("Gemm", "fc"), ("Gemm", "fc"), ("Mul", ""), ("Sin", "")]


class Within(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, depth: int = 0) -> torch.Tensor:
        assert not self._forward_pre_hooks
        x = torch.tanh(self.fc(x))
        return self.forward(x, depth + 1) if depth < 2 else x


def test_calls_of_a_module_within_itself_are_numbered_by_htp_too(tmp_path: Path) -> None:
    rows = _exported(nn.Sequential(Within()), torch.randn(2, 4), tmp_path / "m.onnx", "htp")
    assert rows == [
        (kind, f"0{child}", (f"0@{number}{child}",))
        for number in range(3)
        for kind, child in (("Gemm", ".fc"), ("Tanh", ""))
    ]
