"""The modules that calls of shared functions name: for each call, also in other functions; nothing from bad texts."""

from __future__ import annotations

import json

import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.calls import modules_of_calls
from onnx_tagger.model.keys import CLASSES, MODULES_DOMAIN

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid(MODULES_DOMAIN, 1)]


def call(name: str, module: str, tag: str, origins: tuple[str, ...] = ()) -> onnx.NodeProto:
    node = helper.make_node(name, ["x"], [f"{module}.out"], module, domain=MODULES_DOMAIN)
    ot.write_tag(node, ot.Tag(module, tag, ot.Source.EXPORTED, origins))
    return node


def function(name: str, nodes: list[onnx.NodeProto], classes: object) -> onnx.FunctionProto:
    made = helper.make_function(MODULES_DOMAIN, name, ["x"], ["y"], nodes, OPSETS)
    made.metadata_props.add(key=CLASSES, value=classes if isinstance(classes, str) else json.dumps(classes))
    return made


def model(inner: object, outer: object) -> onnx.ModelProto:
    relu = helper.make_node("Relu", ["x"], ["y"])
    nested = call("Mlp", "", "/Net", ("a.mlp", "b.mlp"))
    nodes = [call("Blk", "a", "/Net/Blk.a"), call("Blk", "b", "/Net/Blk.b")]
    made = helper.make_model(helper.make_graph(nodes, "g", [], []), opset_imports=OPSETS)
    made.functions.extend([function("Mlp", [relu], inner), function("Blk", [nested], outer)])
    return made


def test_each_call_has_its_own() -> None:
    assert dict(modules_of_calls(model({"act": "/ReLU"}, {"mlp": "/Mlp"}))) == {
        "a.mlp": "/Net/Blk.a/Mlp",
        "b.mlp": "/Net/Blk.b/Mlp",
        "a.mlp.act": "/Net/Blk.a/Mlp/ReLU",
        "b.mlp.act": "/Net/Blk.b/Mlp/ReLU",
    }


@pytest.mark.parametrize("text", ["", "[]", "{", '{"act": 1}', '{"act": "ReLU"}', '{"": "/"}', '{"x.y.z": "/"}'])
def test_what_is_no_class_path_is_left_out(text: str) -> None:
    assert {path for path, _ in modules_of_calls(model(text, {"mlp": "/Mlp"}))} == {"a.mlp", "b.mlp"}


def test_a_model_without_such_functions() -> None:
    assert list(modules_of_calls(helper.make_model(helper.make_graph([], "g", [], [])))) == []
