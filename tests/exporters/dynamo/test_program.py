"""Exported programs: control flow, and the branch that was not taken."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Tag, own_tag, props_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


def _tags(path: Path) -> dict[str, Tag]:
    """Tag of each node, by its first output."""
    found = {}
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        found[op.node.output[0]] = tag
    return found


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.yes, self.no = Block(), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.abs().sum() > 0, lambda v: self.yes(v), lambda v: self.no(v), (x,))


def test_modules_of_a_branch_that_was_not_taken_are_modules_all_the_same(tmp_path: Path) -> None:
    exported = ot.export(Branches(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx")
    assert (exported.hierarchy.by_path["no.linear"].calls, exported.hierarchy.by_path["no.linear"].order) == (0, None)
    assert ot.check(exported.path, exported.map_path).ok
    bare = ot.export(Branches(), (torch.randn(2, 4),), tmp_path / "bare.onnx", strategy="fx", tag=False)
    report = ot.retag(bare.path, exported.map_path, tmp_path / "again.onnx")
    assert report.by_source["matched"] == report.nodes
    assert {name: tag.module for name, tag in _tags(tmp_path / "again.onnx").items()} == {
        name: tag.module for name, tag in _tags(exported.path).items()
    }


class Chooses(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.yes, self.no = Block(), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda v: self.yes(v) + 1, lambda v: self.no(v), (x,)) * 2


def test_modules_inside_control_flow_are_known(tmp_path: Path) -> None:
    exported = ot.export(Chooses(), (torch.randn(2, 4),), tmp_path / "m.onnx")
    assert exported.report.by_source["exported"] == exported.report.nodes
    assert any("strict mode" in note for note in exported.report.fallbacks)
    found = {op.label: own_tag(props_of(op.node)) for op in walk(onnx.load(exported.path)).ops if op.scope.owner}
    modules = {label.partition("/")[2].split(".")[1]: tag.module for label, tag in found.items() if tag is not None}
    assert modules == {
        "then_branch#0 Gemm": "yes.linear",
        "then_branch#1 Relu": "yes",
        "then_branch#2 Add": "",
        "else_branch#0 Gemm": "no.linear",
        "else_branch#1 Relu": "no",
    }
    assert exported.report.by_graph.keys() >= {"main"}
    assert sum(exported.report.by_graph.values()) == exported.report.nodes
