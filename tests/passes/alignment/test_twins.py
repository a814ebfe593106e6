"""Nodes that nothing tells apart: they get the module around, and say that it is undecided."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

TREE = HierarchyMap.from_rows([ModuleRow(path, "M") for path in ("", "pair", "pair.a", "pair.b", "out")])


def branches(first: str, second: str, join: str, *, weight: bool = False) -> onnx.ModelProto:
    """Two branches from one tensor, joined: `first` and `second` are the operators of the two."""
    extra = (["w0"], ["w1"]) if weight else ([], [])
    nodes = [
        helper.make_node(first, ["x", *extra[0]], ["left"], "left"),
        helper.make_node(second, ["x", *extra[1]], ["right"], "right"),
        helper.make_node(join, ["left", "right"], ["joined"], "join"),
        helper.make_node("Relu", ["joined"], ["y"], "end"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    weights = [helper.make_tensor(f"w{at}", TensorProto.FLOAT, [4], [float(at)] * 4) for at in range(2)]
    return helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], weights if weight else []))


def map_of(made: onnx.ModelProto) -> HierarchyMap:
    tags = [TREE.tag(path, Source.EXPORTED) for path in ("pair.a", "pair.b", "pair", "out")]
    return HierarchyMap(TREE.modules, graph=SavedGraph.of(walk(made), tags))


def renamed(made: onnx.ModelProto) -> onnx.ModelProto:
    """Tensors between input and output called otherwise, nodes without names, and the end replaced by another node."""
    for node in made.graph.node:
        node.name = ""
        node.input[:] = [f"t_{name}" if name not in "xy" else name for name in node.input]
        node.output[:] = [f"t_{name}" if name not in "xy" else name for name in node.output]
    return made


def aligned(made: onnx.ModelProto, tree: HierarchyMap) -> dict[str, tuple[str, str]]:
    """First output to module and evidence of each tagged node."""
    ctx = Context(made, tree)
    PassManager([Match(), Align()]).run_in(ctx)
    return {op.node.output[0]: (tag.module, ctx.rests_on(op).label) for op, tag in ctx.tags.items()}


def test_equal_branches_get_what_is_around_them() -> None:
    found = aligned(renamed(branches("Sigmoid", "Sigmoid", "Add")), map_of(branches("Sigmoid", "Sigmoid", "Add")))
    assert found["t_left"] == found["t_right"] == ("pair", "undecided")
    assert found["y"] == ("out", "name")


@pytest.mark.parametrize(
    ("first", "second", "join"),
    [("Sigmoid", "Tanh", "Add"), ("Sigmoid", "Sigmoid", "Sub")],
    ids=["other operators", "order of inputs"],
)
def test_what_something_tells_apart_keeps_its_module(first: str, second: str, join: str) -> None:
    found = aligned(renamed(branches(first, second, join)), map_of(branches(first, second, join)))
    assert {name: module for name, (module, _) in found.items() if name in ("t_left", "t_right")} == {
        "t_left": "pair.a",
        "t_right": "pair.b",
    }
    assert Evidence.UNDECIDED.label not in {evidence for _, evidence in found.values()}


def test_known_weights_tell_branches_apart() -> None:
    tree = map_of(branches("Mul", "Mul", "Add", weight=True))
    made = branches("Mul", "Mul", "Add", weight=True)
    for node in made.graph.node:
        node.name = ""
        node.input[:] = [f"t_{name}" if name in ("left", "right", "joined") else name for name in node.input]
        node.output[:] = [f"t_{name}" if name in ("left", "right", "joined") else name for name in node.output]
    found = aligned(made, tree)
    assert found["t_left"][0] == "pair.a"
    assert found["t_right"][0] == "pair.b"
