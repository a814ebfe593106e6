"""What torch's newer exporter says nothing of: folded nodes, converted graphs, loops, inputs of size 1."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn
from torch._higher_order_ops.while_loop import while_loop

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


class Bags(nn.Module):
    """Torch writes a bag of embeddings with loops and choices; folding them leaves nodes without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.other, self.head = nn.EmbeddingBag(9, 4), nn.EmbeddingBag(9, 4, mode="sum"), nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.bag(ids) * self.other(ids))


@pytest.mark.parametrize("opset", [None, 17])
def test_nodes_that_the_folder_made_are_the_operations_that_they_lie_in(opset: int | None, tmp_path: Path) -> None:
    model, x = Bags(), (torch.randint(0, 9, (2, 5)),)
    exported = ot.export(model, x, tmp_path / "m.onnx", strategy="fx", opset=opset)
    assert exported.report.by_source["exported"] == exported.report.nodes, exported.report.by_source
    assert {tag.module for tag in _tags(exported.path).values()} == {"bag", "other", "head", ""}


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


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def more(count: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return count < 3

        def body(count: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return count + 1, self.step(state) + 1

        start = torch.zeros((), dtype=torch.int64)
        # torch leaves while_loop untyped
        _, out = while_loop(more, body, (start, x))  # type: ignore[no-untyped-call]
        return out


class Stepping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = Steps()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(self.steps(x) * 2)


def test_a_node_in_a_loop_is_of_no_single_call_in_it(tmp_path: Path) -> None:
    exported = ot.export(Stepping(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx")
    found = []
    for op in walk(onnx.load(exported.path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None
        if op.node.op_type in ("Loop", "Relu"):
            found.append((op.node.op_type, tag.module, tag.call))
    assert found == [
        ("Loop", "steps", ("steps@0",)),
        ("Relu", "steps.step", ("steps@0.step",)),
        ("Loop", "steps", ("steps@1",)),
        ("Relu", "steps.step", ("steps@1.step",)),
    ]


class Wide(nn.Module):
    """Its second input has size 1 where the first is as wide as a weight, which torch cannot leave open."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + x * y


def test_a_dimension_of_size_1_that_cannot_stay_open_is_closed_and_told(tmp_path: Path) -> None:
    exported = ot.export(
        Wide(), (torch.randn(2, 4), torch.randn(2, 1)), tmp_path / "m.onnx", strategy="fx", dynamic=True
    )
    assert len(exported.report.fallbacks) == 1
    assert exported.report.fallbacks[0].startswith("fx: exported with dimensions of size 1 closed (y[1];")
    x, y = (
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in onnx.load(exported.path).graph.input
    )
    assert isinstance(x[0], str)
    assert y == [x[0], 1]


def test_a_dimension_of_size_1_stays_open_where_it_can(tmp_path: Path) -> None:
    exported = ot.export(Block(), (torch.randn(1, 4),), tmp_path / "m.onnx", strategy="fx", dynamic=True)
    assert exported.report.fallbacks == []
    assert onnx.load(exported.path).graph.input[0].type.tensor_type.shape.dim[0].dim_param


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


class Padded(nn.Module):
    """Padding that torch fuses into the convolution of a child."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(nn.functional.pad(x, (1, 1, 1, 1))).relu()


class Pads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Padded()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x.reshape(x.shape))


def test_padding_that_a_convolution_took_in_is_an_origin(tmp_path: Path) -> None:
    exported = ot.export(Pads(), (torch.randn(1, 2, 5, 5),), tmp_path / "m.onnx", strategy="fx")
    model = onnx.load(exported.path)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    tags = list(_tags(exported.path).values())
    assert [tag.modules for tag in tags] == [("block", "block.conv"), ("block",)]


class Parallel(nn.Module):
    """Two equal norms of one tensor, of which the exporter keeps one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.LayerNorm(4), nn.LayerNorm(4)
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.left(self.one(x)) + self.right(self.two(x))


def test_a_node_that_stands_for_two_equal_operations_has_both_origins(tmp_path: Path) -> None:
    exported = ot.export(Parallel(), (torch.randn(2, 3, 4),), tmp_path / "m.onnx", strategy="fx")
    found = {op.node.op_type: own_tag(props_of(op.node)) for op in walk(onnx.load(exported.path)).ops}
    norm = found["LayerNormalization"]
    assert norm is not None
    assert (norm.module, norm.origins) == ("", ("one", "two"))
    matmuls = [own_tag(props_of(n)) for n in onnx.load(exported.path).graph.node if n.op_type == "MatMul"]
    assert [tag.modules for tag in matmuls if tag is not None] == [("left",), ("right",)]
