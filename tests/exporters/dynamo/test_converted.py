"""Files of an older opset, which torch converts after the export."""

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


class Twice(nn.Module):
    """Attention and shared modules: what torch decomposes into many nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(self.block(x))
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.norm(x + y)


def test_an_older_opset_gets_the_same_tags(tmp_path: Path) -> None:
    model, x = Twice(), (torch.randn(2, 3, 4),)
    made = {}
    for opset in (18, 17):
        exported = ot.export(model, x, tmp_path / f"{opset}.onnx", strategy="fx", opset=opset)
        assert onnx.load(exported.path).opset_import[0].version == opset
        assert exported.report.by_source["exported"] == exported.report.nodes, exported.report.by_source
        made[opset] = _tags(exported.path)
    both = set(made[18]) & set(made[17])
    assert len(both) > 0.9 * len(made[17])
    assert {name: made[17][name] for name in both} == {name: made[18][name] for name in both}


def test_a_converted_file_is_the_bare_one_and_tags(tmp_path: Path) -> None:
    model, x = Twice(), (torch.randn(2, 3, 4),)
    tagged = ot.export(model, x, tmp_path / "m.onnx", strategy="fx", opset=17)
    bare = ot.export(model, x, tmp_path / "bare.onnx", strategy="fx", opset=17, tag=False)
    ot.strip(tagged.path, tmp_path / "stripped.onnx")
    assert (tmp_path / "stripped.onnx").read_bytes() == bare.path.read_bytes()
