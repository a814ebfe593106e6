"""The tree that the names of a file give together."""

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnx_tagger.errors import FileFormatError
from onnx_tagger.hierarchy.inferred.tree import infer_tree
from onnx_tagger.hierarchy.naming import level_paths
from onnx_tagger.model.limits import limited, limits_of_texts
from onnx_tagger.model.metadata import class_of, escape_class, fits, segments


def model_of(*names: str, stored: tuple[str, ...] = (), docs: tuple[str, ...] = ()) -> ModelProto:
    nodes: list[NodeProto] = []
    for place, name in enumerate(names):
        nodes.append(helper.make_node("Relu", [f"t{place}"], [f"t{place + 1}"], name))
        nodes[-1].doc_string = docs[place] if docs else ""
    weights = [numpy_helper.from_array(np.zeros(2, np.float32), name) for name in stored]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], weights))


def modules(*names: str, stored: tuple[str, ...] = ()) -> list[str]:
    found = infer_tree(model_of(*names, stored=stored))
    assert found is not None
    return [",".join(paths) for paths in found.modules]


def test_a_key_is_spelled_with_the_attribute_of_its_list() -> None:
    assert modules("/layer/layer.0/act/Relu") == ["layer.0.act"]
    assert modules("/seq.2/seq.2.0/Relu") == ["seq.2.0"]
    # Unless the weights say that the list is in a module of that name.
    assert modules("/layer/layer.0/act/Relu", stored=("layer.layer.0.fc.weight",)) == ["layer.layer.0.act"]


def test_the_second_call_of_a_module_is_no_module() -> None:
    assert modules("/a/act/Relu", "/a/act_1/Relu") == ["a.act", "a.act"]
    assert modules("/a/conv_1/Relu", "/a/conv_2/Relu") == ["a.conv_1", "a.conv_2"]
    assert modules("/a/norm/Relu", "/a/norm_1/Relu", stored=("a.norm.w", "a.norm_1.w")) == ["a.norm", "a.norm_1"]


def test_a_child_called_from_outside_its_parent_is_found_by_its_weights() -> None:
    assert modules("/block/fc/Relu", stored=("pair.block.fc.weight",)) == ["pair.block.fc"]
    assert modules("/block/fc/Relu", stored=("a.block.fc.weight", "b.block.fc.weight")) == ["block.fc"]


def test_lists_have_no_tag_and_classes_are_unknown() -> None:
    found = infer_tree(model_of("/layer.0/act/Relu", "/layer.1/act/Relu"))
    assert found is not None
    assert [(m.path, m.class_name, m.tag) for m in found.tree.modules] == [
        ("", "", "/~"),
        ("layer", "", None),
        ("layer.0", "", "/~/~layer.0"),
        ("layer.0.act", "", "/~/~layer.0/~act"),
        ("layer.1", "", "/~/~layer.1"),
        ("layer.1.act", "", "/~/~layer.1/~act"),
    ]


def test_doc_strings_give_classes() -> None:
    found = infer_tree(model_of("Relu_3", docs=("%4 = onnx::Relu(%3), scope: Net/Block[first]/ReLU[act] # n.py:1:0",)))
    assert found is not None
    assert {m.path: m.tag for m in found.tree.modules}["first.act"] == "/Net/Block/ReLU"


@pytest.mark.parametrize("names", [("Relu_1", "onnx::Relu_3"), ("/Relu", "/Relu_1"), ("node_relu", "p2o.Relu.3")])
def test_names_that_say_no_module_give_no_tree(names: tuple[str, ...]) -> None:
    assert infer_tree(model_of(*names)) is None


def test_limits_hold() -> None:
    with limited(limits_of_texts(["modules=3"])), pytest.raises(FileFormatError, match="more than 3 modules"):
        infer_tree(model_of("/a/b/c/Relu", "/d/Relu"))


def test_an_unknown_class_is_told_from_any_name() -> None:
    assert escape_class("~Odd") == "%7EOdd"
    assert class_of("/Net/%7EOdd.a") == "~Odd"
    assert segments("/~/~") is None
    assert segments("/~/~a..b") is None
    assert fits("/~/~layer.0/~query", "layer.0.query")
    assert not fits("/~/~layer.0/~key", "layer.0.query")
    assert level_paths("enc.layer.0.q", "/~/~enc/~layer.0/~q")["/~/~enc/~layer.0"] == "enc.layer.0"
