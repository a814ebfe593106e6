"""The main graph with its constants, and what bodies read."""

import onnx
from onnx import helper

from examples.staged import TREE, net
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.splitting.maingraph import MainGraph, main_graph


def graph_of(model: onnx.ModelProto) -> MainGraph:
    return main_graph(read_tags(model, TREE))


def test_constants_read_initializers_alone_and_are_the_same_each_time() -> None:
    model = net()
    model.graph.node.insert(0, helper.make_node("RandomNormal", [], ["noise"], "noise", shape=[1]))
    found = graph_of(model)
    assert {found.makes[index][0] for index in found.constant} == {"scale"}


def test_what_the_model_gives_back_is_no_constant() -> None:
    model = net()
    model.graph.output.append(helper.make_tensor_value_info("scale", onnx.TensorProto.FLOAT, [1]))
    assert graph_of(model).constant == set()


def test_bodies_read_for_their_owner_also_what_they_only_give_back() -> None:
    model = net()
    value = helper.make_tensor_value_info
    then = helper.make_graph([helper.make_node("Abs", ["b1"], ["t"], "t")], "then", [], [value("t", 1, [4, 4])])
    bare = helper.make_graph([], "else", [], [value("b0", 1, [4, 4])])
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], "if", then_branch=then, else_branch=bare))
    model.graph.input.append(value("c", onnx.TensorProto.BOOL, []))
    found = graph_of(model)
    assert set(found.reads[-1]) == {"c", "b1", "b0"}


def test_initializers_that_are_inputs_too_are_no_inputs() -> None:
    model = net()
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [4, 4]))
    assert graph_of(model).inputs == ("x",)
