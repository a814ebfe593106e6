"""Maps and tags from a file alone."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import onnx_tagger as ot


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "/blocks.0/act/Relu"),
        helper.make_node("Constant", [], ["c"], "Constant_12", value_float=1.0),
        helper.make_node("Add", ["a", "c"], ["b"], "/blocks.0/Add"),
        helper.make_node("Neg", ["b"], ["y"], "/blocks.1/Neg"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])), path)
    return path


def test_a_map_is_saved_and_taken_again(bare: Path) -> None:
    found = ot.infer(bare)
    found.save(bare.with_suffix(".hierarchy.json"))
    loaded = ot.HierarchyMap.load(bare.with_suffix(".hierarchy.json"))
    assert loaded.modules == found.modules
    assert '"class":null' in bare.with_suffix(".hierarchy.json").read_text().replace(": ", ":")
    report = ot.retag(bare, loaded, bare.with_name("out.onnx"))
    assert report.by_source == {"exported": 0, "matched": 0, "aligned": 0, "named": 3, "inherited": 1, "root": 0}


def test_retag_needs_no_map_and_check_knows_the_source(bare: Path) -> None:
    tagged = bare.with_name("tagged.onnx")
    assert ot.retag(bare, None, tagged).by_source["named"] == 3
    assert ot.check(tagged).ok
    assert ot.check(tagged, max_named=3).ok
    assert ot.check(tagged, max_named=2).failures == [
        "3 nodes have their tag from names alone, at most 2 may: main#0 Relu, main#2 Add, main#3 Neg"
    ]
    again = bare.with_name("again.onnx")
    ot.retag(tagged, None, again)
    assert {node.source for node in ot.read(again).nodes()} == {"named", "inherited"}
    # A tagged file gives its own map.
    assert {m.path for m in ot.infer(tagged).modules if m.tag} == {"", "blocks.0", "blocks.0.act", "blocks.1"}


def test_reading_needs_neither_tags_nor_a_map(bare: Path) -> None:
    before = bare.read_bytes()
    read = ot.read(bare)
    assert [(row.module, row.source) for row in read.nodes()] == [
        ("blocks.0.act", "named"),
        ("blocks.0", "inherited"),
        ("blocks.0", "named"),
        ("blocks.1", "named"),
    ]
    assert read["blocks.0.act"].cls is None
    assert ot.stats(bare).tagged == 4
    assert bare.read_bytes() == before
    # What is in no tag is no coverage.
    assert not ot.check(bare).ok


def test_a_file_whose_names_say_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(
        helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "Relu_1")], "g", [], [])), path
    )
    with pytest.raises(ot.MapError, match="neither its metadata nor its names say a module"):
        ot.infer(path)
    with pytest.raises(ot.TaggerError, match="neither metadata nor names say a module"):
        ot.retag(path, None, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
    assert ot.stats(path).tagged == 0
