"""Truth by execution on small modules: what is right is found right, and what is planted wrong is found wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

pytest.importorskip("onnxruntime")

import onnx_tagger as ot
from onnx_tagger.exporters.capture import capture
from onnx_tagger.exporters.truth.judging import Judgement, feeds_of, judge, observe
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import Op, walk
from onnx_tagger.model.metadata import Tag, add_entries, clear_node, own_entries, own_tag, props_of

Change = Callable[[Op, Tag], Tag]


class Pair(nn.Module):
    """Two linear layers and work of its own between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


class Twice(nn.Module):
    """One layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.sigmoid(self.layer(x)))


class Normed(nn.Module):
    """A convolution into which exporters fold the normalisation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean.copy_(torch.randn(4))
        self.norm.running_var.copy_(torch.rand(4) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


def exported(model: nn.Module, x: torch.Tensor, folder: Path, strategy: str) -> tuple[Path, HierarchyMap]:
    path = folder / "model.onnx"
    return path, ot.export(model, (x,), path, strategy=strategy).hierarchy


def changed(path: Path, change: Change) -> None:
    """Write other tags into a file."""
    model = onnx.load(path)
    for op in walk(model).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None
        clear_node(op.node, ())
        add_entries(op.node, own_entries(change(op, tag)))
    onnx.save(model, path)


def judged(model: nn.Module, x: torch.Tensor, path: Path, tree: HierarchyMap) -> Judgement:
    return judge(path, tree, observe(model, (x,), {}), feeds_of(path, model, (x,), {}))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_an_export_is_right_and_a_wrong_tag_is_found(tmp_path: Path, strategy: str) -> None:
    model, x = Pair(), torch.randn(3, 6)
    path, tree = exported(model, x, tmp_path, strategy)
    found = judged(model, x, path, tree)
    assert found.verdicts == {"right": found.testable}
    assert found.testable == found.computing >= 3
    assert found.alone == found.enclosed == found.testable
    assert found.precision == found.recall == 1.0
    assert found.details == []

    changed(path, lambda op, tag: tree.tag("second", tag.source) if tag.module == "first" else tag)
    planted = judged(model, x, path, tree)
    assert planted.verdicts["wrong"] == found.testable - planted.verdicts["right"] >= 1
    assert planted.precision < 1.0
    assert any("ran in 'first'" in line for line in planted.details)


def test_an_ancestor_is_told_from_a_sibling(tmp_path: Path) -> None:
    model, x = Pair(), torch.randn(3, 6)
    path, tree = exported(model, x, tmp_path, "fx")
    changed(path, lambda op, tag: tree.tag("", tag.source))
    found = judged(model, x, path, tree)
    assert found.verdicts["wrong"] == 0
    assert found.verdicts["ancestor"] == 2
    assert found.verdicts["right"] == 1, "the root's own work"


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_folded_normalisation_has_two_origins(tmp_path: Path, strategy: str) -> None:
    model, x = Normed().eval(), torch.randn(1, 3, 6, 6)
    path, tree = exported(model, x, tmp_path, strategy)
    found = judged(model, x, path, tree)
    assert [op.node.op_type for op in walk(onnx.load(path)).ops] == ["Conv", "Relu"]
    assert (found.said, found.true, found.agreed) == (3, 3, 3)
    assert found.verdicts == {"right": 2}
    assert (found.alone, found.enclosed) == (1, 2)

    changed(path, lambda op, tag: tree.tag("norm", tag.source) if tag.origins else tag)
    dropped = judged(model, x, path, tree)
    assert dropped.precision == 1.0
    assert dropped.recall == pytest.approx(2 / 3)

    changed(path, lambda op, tag: tree.tag("norm", tag.source, ("norm", "")) if tag.module == "norm" else tag)
    planted = judged(model, x, path, tree)
    assert (planted.precision, planted.recall) == pytest.approx((2 / 3, 2 / 3))
    assert len(planted.details) == 1


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_calls_are_judged(tmp_path: Path, strategy: str) -> None:
    model, x = Twice(), torch.randn(2, 6)
    path, tree = exported(model, x, tmp_path, strategy)
    found = judged(model, x, path, tree)
    assert set(found.calls) == {"right"}
    assert found.calls["right"] >= 2

    changed(path, lambda op, tag: replace(tag, call=("layer@1",)) if tag.call == ("layer@0",) else tag)
    planted = judged(model, x, path, tree)
    assert planted.calls["wrong"] >= 1
    assert planted.calls["right"] + planted.calls["wrong"] == found.calls["right"]
    assert planted.verdicts == found.verdicts

    changed(path, lambda op, tag: replace(tag, call=()))
    assert judged(model, x, path, tree).calls == {"missing": found.calls["right"]}


def hand_made(folder: Path, nodes: list[onnx.NodeProto], tags: list[Tag], **stored: np.ndarray) -> Path:
    """A file of one input ``x`` of shape (3, 6) and one output ``y``."""
    for node, tag in zip(nodes, tags, strict=True):
        add_entries(node, own_entries(tag))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    path = folder / "made.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_a_node_without_a_value_of_its_own_is_judged_by_what_it_serves(tmp_path: Path) -> None:
    model, x = nn.Sequential(nn.Linear(6, 4)), torch.randn(3, 6)
    tree = capture(model, (x,)).hierarchy
    weight, bias = (tensor.detach().numpy() for tensor in (model[0].weight.t(), model[0].bias))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    layer, root = (tree.tag(name, ot.Source.EXPORTED) for name in ("0", ""))
    right = judged(model, x, hand_made(tmp_path, nodes, [layer, layer], w=weight, b=bias), tree)
    assert right.verdicts == {"right": 2}
    assert right.inner == 1

    del nodes[0].metadata_props[:], nodes[1].metadata_props[:]
    astray = judged(model, x, hand_made(tmp_path, nodes, [root, layer], w=weight, b=bias), tree)
    assert astray.verdicts == {"right": 1, "ancestor": 1}


def test_constants_are_judged_by_their_readers(tmp_path: Path) -> None:
    model, x = Pair(), torch.randn(3, 6)
    tree = capture(model, (x,)).hierarchy
    weight, bias = (tensor.detach().numpy() for tensor in (model.first.weight, model.first.bias))
    constant = helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(weight))
    turn = helper.make_node("Transpose", ["w"], ["t"])
    nodes = [constant, turn, helper.make_node("Gemm", ["x", "t", "b"], ["y"])]
    first, second, root = (tree.tag(name, ot.Source.EXPORTED) for name in ("first", "second", ""))
    found = judged(model, x, hand_made(tmp_path, nodes, [first, root, first], b=bias), tree)
    assert found.auxiliary == {"consistent": 2}
    for node in nodes:
        del node.metadata_props[:]
    astray = judged(model, x, hand_made(tmp_path, nodes, [second, first, first], b=bias), tree)
    assert astray.auxiliary == {"consistent": 1, "inconsistent": 1}
    assert astray.verdicts == {"right": 1}


def test_a_constant_that_names_some_of_its_readers_fits_in_part(tmp_path: Path) -> None:
    class Tripled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 3

    model, x = nn.Sequential(Tripled(), Tripled()), torch.randn(3, 6)
    tree = capture(model, (x,)).hierarchy
    three = onnx.numpy_helper.from_array(np.array(3, dtype=np.float32))
    nodes = [
        helper.make_node("Constant", [], ["c"], value=three),
        helper.make_node("Mul", ["x", "c"], ["a"]),
        helper.make_node("Mul", ["a", "c"], ["y"]),
    ]
    first, second = (tree.tag(name, ot.Source.EXPORTED) for name in ("0", "1"))
    path = hand_made(tmp_path, nodes, [first, first, second])
    assert judged(model, x, path, tree).auxiliary == {"partial": 1}
    changed(path, lambda op, tag: tree.tag("", tag.source, ("0", "1")) if op.node.op_type == "Constant" else tag)
    assert judged(model, x, path, tree).auxiliary == {"consistent": 1}


def test_a_part_of_what_an_operation_made_is_that_operations(tmp_path: Path) -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Linear(6, 8, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one, other = self.both(x).chunk(2, -1)
            return one * other

    model, x = Halves(), torch.randn(3, 6)
    tree = capture(model, (x,)).hierarchy
    one, other = model.both.weight.detach().numpy().T[:, :4], model.both.weight.detach().numpy().T[:, 4:]
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["a"]),
        helper.make_node("MatMul", ["x", "w"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    both, root = (tree.tag(name, ot.Source.EXPORTED) for name in ("both", ""))
    found = judged(model, x, hand_made(tmp_path, nodes, [both, root, root], v=one, w=other), tree)
    assert found.verdicts == {"right": 2, "ancestor": 1}


def test_a_flag_that_the_run_never_made_is_judged_between_two_steps_of_one_module(tmp_path: Path) -> None:
    class Soft(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(x * 2, -1)

    model, x = nn.Sequential(Soft()), torch.randn(3, 6)
    tree = capture(model, (x,)).hierarchy
    layer, root = (tree.tag(name, ot.Source.EXPORTED) for name in ("0", ""))
    stored = {"two": np.float32(2).reshape(()), "zero": np.float32(0).reshape(())}
    for looked_at, testable in (("m", 3), ("x", 2)):
        nodes = [
            helper.make_node("Mul", ["x", "two"], ["m"]),
            helper.make_node("IsNaN", [looked_at], ["flag"]),
            helper.make_node("Where", ["flag", "zero", "m"], ["w"]),
            helper.make_node("Softmax", ["w"], ["y"], axis=-1),
        ]
        found = judged(model, x, hand_made(tmp_path, nodes, [layer, root, layer, layer], **stored), tree)
        assert found.testable == testable
        assert found.verdicts["ancestor"] == testable - 2


def test_values_that_are_rolled_belong_to_who_rolled_them(tmp_path: Path) -> None:
    class Rolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.roll(self.layer(x), 2, 1)

    model, x = Rolled(), torch.randn(3, 6)
    path, tree = exported(model, x, tmp_path, "fx")
    assert judged(model, x, path, tree).verdicts["wrong"] == 0
    changed(path, lambda op, tag: tree.tag("layer", tag.source))
    found = judged(model, x, path, tree)
    assert found.verdicts["wrong"] >= 1
    assert found.vague == 0


def test_masks_are_judged_only_where_one_module_makes_them(tmp_path: Path) -> None:
    class Positive(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x > 0

    class Masked(nn.Module):
        def __init__(self, *, twice: bool) -> None:
            super().__init__()
            self.one, self.other = Positive(), Positive()
            self.twice = twice

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = self.one(x)
            if self.twice:
                mask = mask & self.other(x)
            return torch.where(mask, x * 3, x)

    x = torch.randn(3, 6)
    for twice in (False, True):
        model = Masked(twice=twice)
        path, tree = exported(model, x, tmp_path, "fx")
        found = judged(model, x, path, tree)
        assert found.verdicts == {"right": 3 - twice}, found
        assert any(reason.startswith("few distinct values") for reason in found.untestable) == twice


class TakesBack(nn.Module):
    """Subtracts a child's bias from what the child made: the child's product of matrices exists again, by this one."""

    def __init__(self) -> None:
        super().__init__()
        self.child, self.scale = nn.Linear(6, 5), nn.Parameter(torch.rand(5) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.child(x)
        return (y - self.child.bias) * self.scale + y


class Rejoins(nn.Module):
    """Puts two children's work together, and takes it apart again."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 5), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = torch.cat([torch.tanh(self.one(x)), self.other(x)], dim=-1).chunk(2, dim=-1)
        return torch.sin(first) * torch.cos(second)


@pytest.mark.parametrize("strategy", ["fx", "htp"])
@pytest.mark.parametrize("kind", [TakesBack, Rejoins])
def test_values_that_exist_twice_are_not_the_second_makers(
    kind: type[nn.Module], strategy: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, args = kind().eval(), (torch.randn(2, 3, 6),)
    observations = observe(model, args, {})
    exported = ot.export(model, args, tmp_path / "m.onnx", strategy=strategy)
    found = judge(exported.path, exported.hierarchy, observations, feeds_of(exported.path, model, args, {}))
    assert found.verdicts["right"] == found.testable > 3, found.details
