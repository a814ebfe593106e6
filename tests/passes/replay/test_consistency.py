"""Operations that agree with what nodes read and who reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.hierarchy.map import HierarchyMap, Operation
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import own_tag, props_of
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.replay.consistency import by_dataflow, numbered, unattached


def step(operator: str, *reads: int, module: str = "", call: str = "") -> Operation:
    return Operation(module, operator, call=(call,) if call else (), reads=reads)


def chosen(text: str, trace: Sequence[Operation], *places: Sequence[int]) -> list[tuple[int, ...]]:
    """The places that are left for the nodes of a graph."""
    ctx = context(text)
    found = {op: tuple(each) for op, each in zip(ctx.ops, places, strict=True) if each}
    left = by_dataflow(ctx.ops, ctx.get(DataFlow), trace, numbered(trace), found)
    return [left.get(op, ()) for op in ctx.ops]


def context(text: str) -> Context:
    whole = f'<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] y) {{ {text} }}'
    return Context(onnx.parser.parse_model(whole), HierarchyMap.from_rows([ModuleRow("", "Net")]))


TWO_PRODUCTS = [step("relu"), step("tanh"), step("mul", 0), step("mul", 1), step("add", 2, 3)]


def test_the_product_of_the_relu_is_the_one_that_reads_it() -> None:
    text = "a = Relu(x) b = Tanh(x) c = Mul(a, a) d = Mul(b, b) y = Add(c, d)"
    assert chosen(text, TWO_PRODUCTS, [0], [1], [2, 3], [2, 3], [4]) == [(0,), (1,), (2,), (3,), (4,)]


def test_moves_hand_on_what_is_known() -> None:
    text = "a = Tanh(x) b = Identity(a) c = Mul(b, b) y = Neg(c)"
    assert chosen(text, TWO_PRODUCTS, [1], [], [2, 3], []) == [(1,), (), (3,), ()]


def test_readers_tell_where_what_is_read_does_not() -> None:
    trace = [step("mul"), step("mul"), step("relu", 0), step("tanh", 1)]
    assert chosen("a = Mul(x, x) y = Tanh(a)", trace, [0, 1], [3]) == [(1,), (3,)]


def test_one_node_for_two_operations_keeps_both() -> None:
    # The first agrees with what comes before, the second with what comes behind.
    trace = [step("tanh"), step("relu", 0, module="a"), step("relu", 1, module="b"), step("neg", 2)]
    assert chosen("a = Tanh(x) b = Relu(a) y = Neg(b)", trace, [0], [1, 2], [3])[1] == (1, 2)


def test_nothing_is_chosen_where_all_agree_or_none_does() -> None:
    trace = [step("tanh"), step("mul", 0), step("mul", 0), step("neg")]
    assert chosen("a = Tanh(x) y = Mul(a, a)", trace, [0], [1, 2])[1] == (1, 2)
    assert chosen("a = Neg(x) y = Mul(a, a)", trace, [3], [1, 2])[1] == (1, 2)


def test_equal_calls_count_as_one() -> None:
    once = [step("tanh"), step("relu", 0, module="act", call="act@0")]
    trace = [*once, step("relu", 0, module="act", call="act@1"), step("mul", 2), step("mul", 0)]
    assert numbered(trace)[1] == numbered(trace)[2]
    text = "a = Tanh(x) b = Relu(a) y = Mul(b, b)"
    assert chosen(text, trace, [0], [1, 2], [3, 4])[2] == (3,)


def test_calls_on_different_inputs_are_not_equal() -> None:
    trace = [step("tanh"), step("relu", module="act", call="act@0"), step("relu", 0, module="act", call="act@1")]
    assert len(set(numbered(trace))) == 3


def test_a_move_between_others_is_no_part_of_an_operation_that_it_hands_nothing_on_of() -> None:
    ctx = context("a = Transpose(x) b = Relu(a) c = Tanh(x) d = Transpose(c) e = Transpose(b) y = Add(d, e)")
    trace = [step("relu", module="act"), step("tanh"), step("add", 0, 1)]
    places = dict(zip(ctx.ops, [(0,), (0,), (1,), (0,), (0,), (2,)], strict=True))
    assert [op.id for op in unattached(ctx.ops, ctx.get(DataFlow), trace, places)] == [3]


class Twice(nn.Module):
    """Calls a container's children around work of its own, and is called twice on one input."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.SiLU(), nn.Linear(4, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.parts[1](self.parts[0](x * 1.5))
        y = self.parts[1](self.parts[0](y) * 0.5) * 0.25
        return torch.tanh(self.parts[0](y) + y)


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = Twice()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.part(x), self.part(x) + 1


def test_work_between_a_container_s_children_is_never_the_container_s(tmp_path: Path) -> None:
    model, args = Both().eval(), (torch.randn(2, 3, 4),)
    exported = ot.export(model, args, tmp_path / "whole.onnx", strategy="fx")
    ot.strip(exported.path, tmp_path / "bare.onnx")
    ot.retag(tmp_path / "bare.onnx", ot.capture(model, args), tmp_path / "tagged.onnx")
    for was, now in zip(
        *(onnx.load(tmp_path / name).graph.node for name in ("whole.onnx", "tagged.onnx")), strict=True
    ):
        true, said = own_tag(props_of(was)), own_tag(props_of(now))
        assert true is not None
        assert said is not None
        assert said.module != "part.parts", now.name
        assert exported.hierarchy.encloses(said.module, true.module) or now.op_type == "Constant", now
