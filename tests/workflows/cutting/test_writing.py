"""What comes along with a part: functions that are called, metadata, types of inner tensors, and bodies' tags."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

import onnx_tagger as ot
from examples.looped import model


def test_only_the_functions_that_are_called_come_along_with_tags_seen_from_the_module(tmp_path: Path) -> None:
    whole = model([("a", "F", "a0", ["x"]), ("b", "Exp", "b0", ["a0"]), ("c", "Abs", "y", ["b0"])])
    for name, op in (("F", "G"), ("G", "Tanh"), ("H", "Exp")):
        inner = helper.make_node(op, ["x"], ["y"], op, domain="own" if op == "G" else "")
        ot.write_tag(inner, ot.Tag("a", "/Net/A", ot.Source.EXPORTED))
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        whole.functions.append(helper.make_function("own", name, ["x"], ["y"], [inner], opsets))
    whole.opset_import.append(helper.make_opsetid("own", 1))
    whole.graph.node[0].domain = "own"
    whole.metadata_props.add(key="theirs", value="1")
    values = [helper.make_tensor_value_info(name, 1, [4, 4]) for name in ("a0", "b0")]
    whole.graph.value_info.extend(values)
    onnx.save(whole, tmp_path / "m.onnx")
    (part,) = ot.extract(tmp_path / "m.onnx", "a", tmp_path / "p.onnx", verify=True).parts
    assert part.verified is True
    made = onnx.load(tmp_path / "p.onnx")
    assert [function.name for function in made.functions] == ["F", "G"]
    tag = ot.tag_of(made.functions[1].node[0])
    assert tag is not None
    assert (tag.module, tag.tag) == ("", "/A")
    assert [entry.key for entry in made.metadata_props] == ["theirs"]
    assert {entry.domain for entry in made.opset_import} == {"", "own"}


def test_tags_in_bodies_are_seen_from_the_module(tmp_path: Path) -> None:
    inner = helper.make_node("Tanh", ["x"], ["t"], "t")
    ot.write_tag(inner, ot.Tag("a.b", "/Net/A/B", ot.Source.EXPORTED))
    body = helper.make_graph([inner], "body", [], [helper.make_tensor_value_info("t", 1, [2])])
    node = helper.make_node("If", ["c"], ["y"], "choice", then_branch=body, else_branch=body)
    ot.write_tag(node, ot.Tag("a", "/Net/A", ot.Source.EXPORTED))
    last = helper.make_node("Exp", ["y"], ["z"], "z")
    ot.write_tag(last, ot.Tag("", "/Net", ot.Source.EXPORTED))
    values = [helper.make_tensor_value_info("c", 9, []), *(helper.make_tensor_value_info(n, 1, [2]) for n in "xyz")]
    graph = helper.make_graph([node, last], "g", values[:2], values[3:], value_info=values[2:3])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "m.onnx")
    (part,) = ot.extract(tmp_path / "m.onnx", "a", tmp_path / "p.onnx", verify=True).parts
    assert part.verified is True
    assert sorted(one.name for one in part.inputs) == ["c", "x"]
    assert {entry.module for entry in ot.read(tmp_path / "p.onnx").nodes()} == {"", "b"}
