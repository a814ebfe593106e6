"""Joining kernels to nodes by name, and where names do not say it all."""

from pathlib import Path

import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from examples.profiled import TREE, blocks, saved
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.workflows.profiling.tagging import Optimised, map_of


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return saved(blocks(), tmp_path / "m.onnx")


def optimised(path: Path, model: onnx.ModelProto) -> Optimised:
    tree = map_of(read_skeleton(path), None, "m", force=False)
    return Optimised(saved(model, path.with_name("optimised.onnx")), tree)


def test_the_map_holds_the_graph_of_the_file(path: Path) -> None:
    tree = map_of(read_skeleton(path), None, "m", force=False)
    assert tree is not None
    assert tree.graph is not None
    assert [node.tag.module for node in tree.graph.nodes if node.tag][:3] == ["blocks.0.linear"] * 2 + ["blocks.0"]
    assert tree.graph.initializers["w1"] == ("blocks.1.linear",)


def test_nothing_is_known_of_a_file_without_modules(tmp_path: Path) -> None:
    assert map_of(read_skeleton(saved(blocks(tagged=False), tmp_path / "m.onnx")), None, "m", force=False) is None


def test_kernels_without_a_name_are_known_by_their_place(path: Path) -> None:
    model = blocks(tagged=False)
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.name = ""
    found = optimised(path, model).known({"blocks.0.linear/MatMul": "MatMul", "Relu_7": "Relu", "Relu_9": "Relu"})
    assert [(k.joined, k.tag.module if k.tag else None) for k in found.values()] == [
        ("name", "blocks.0.linear"),
        ("neighbours", "blocks.0"),
        ("neighbours", "blocks.1"),
    ]
    # With one kernel for two nodes nobody could say which of them it is.
    assert optimised(path, model).known({"Relu_7": "Relu"}) == {}


def test_one_name_on_several_nodes_is_what_encloses_them(path: Path) -> None:
    model = blocks()
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.name = "relu"
    (known,) = optimised(path, model).known({"relu": "Relu"}).values()
    assert known.tag is not None
    assert (known.tag.module, known.tag.origins) == ("", ("blocks.0", "blocks.1"))
    assert TREE.enclosing(["blocks.0", "blocks.1"]) == ""


def test_what_a_tool_fused_is_aligned(path: Path) -> None:
    model = blocks(tagged=False)
    fused = helper.make_node("Gemm", ["x", "w0", "b0"], ["s0"], "fused")
    del model.graph.node[:2]
    model.graph.node.insert(0, fused)
    (known,) = optimised(path, model).known({"fused": "Gemm"}).values()
    assert known.tag is not None
    assert (known.tag.module, known.tag.source) == ("blocks.0.linear", ot.Source.ALIGNED)
    assert known.node == "main#0"
