"""`splice`: what was extracted and changed goes back, by name or by order and type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnx_tagger as ot
from examples.staged import TREE, net
from onnx_tagger.errors import TaggerError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(net(), tmp_path / "m.onnx")
    ot.extract(tmp_path / "m.onnx", "blocks.1", tmp_path / "p.onnx")
    return tmp_path / "m.onnx"


def changed(folder: Path) -> onnx.ModelProto:
    return onnx.load(folder / "p.onnx")


def test_what_was_taken_out_goes_back_bit_for_bit_with_its_tags(file: Path, tmp_path: Path) -> None:
    made = ot.splice(file, "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx", verify=True)
    assert made.ok
    assert made.errors == {"y": 0.0}
    assert made.inputs == {"blocks.0/b0": "b0", "late/mask": "mask"}
    onnx.checker.check_model(onnx.load(tmp_path / "b.onnx"), full_check=True)
    before, after = (ot.read(path).table(("nodes",)) for path in (file, tmp_path / "b.onnx"))
    assert after["blocks.2"].total == before["blocks.2"].total
    assert ot.check(tmp_path / "b.onnx").coverage == 100
    assert len(onnx.load(tmp_path / "b.onnx").graph.initializer) == 2


def test_every_module_goes_back(file: Path, tmp_path: Path) -> None:
    for part in ot.extract(file, "**", tmp_path / "out").parts:
        if part.file is not None:
            made = ot.splice(file, part.module, part.file, tmp_path / "b.onnx", verify=True)
            assert made.errors == {"y": 0.0}, part.module


def test_signatures_match_by_order_and_type_where_names_are_gone(file: Path, tmp_path: Path) -> None:
    model = changed(tmp_path)
    names = {"blocks.0/b0": "first", "late/mask": "second", "output": "third"}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
    onnx.save(model, tmp_path / "p.onnx")
    made = ot.splice(file, "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx", verify=True)
    assert made.ok
    assert made.inputs == {"first": "b0", "second": "mask"}
    nodes = [node for node in ot.read(tmp_path / "b.onnx").nodes() if node.source == "inherited"]
    assert {node.module for node in nodes} == {"blocks.1"}


def test_another_value_fails_the_verification(file: Path, tmp_path: Path) -> None:
    model = changed(tmp_path)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([9]), "one"))
    onnx.save(model, tmp_path / "p.onnx")
    made = ot.splice(file, "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx", verify=True)
    assert not made.ok
    names = [tensor.name for tensor in onnx.load(tmp_path / "b.onnx").graph.initializer]
    assert names == ["w", "one", "blocks.1/one"]


def test_a_part_that_passes_its_input_on_is_put_back(file: Path, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", 1, [4, 4])
    graph = helper.make_graph([], "g", [value], [value])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "p.onnx")
    ot.splice(file, "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "b.onnx"), full_check=True)


def test_what_does_not_fit_is_refused(file: Path, tmp_path: Path) -> None:
    model = changed(tmp_path)
    model.graph.input.append(helper.make_tensor_value_info("more", 7, [1]))
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(TaggerError, match="the input 'more' of the part is none of the module's"):
        ot.splice(file, "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx")
    del model.graph.input[:]
    model.graph.output[0].type.tensor_type.elem_type = 7
    model.graph.output[0].name = "other"
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(TaggerError, match="no output for 'b1'"):
        ot.splice(file, "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx")
    with pytest.raises(TaggerError, match="names 3 modules"):
        ot.splice(file, "blocks.*", tmp_path / "p.onnx", tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def test_a_file_that_only_its_map_tags_comes_out_tagged(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "tagged.onnx")
    onnx.save(net(tagged=False), tmp_path / "m.onnx")
    given = {"map": tmp_path / "tagged.onnx"}
    ot.extract(tmp_path / "m.onnx", "blocks.1", tmp_path / "p.onnx", **given)
    ot.splice(tmp_path / "m.onnx", "blocks.1", tmp_path / "p.onnx", tmp_path / "b.onnx", **given)
    report = ot.check(tmp_path / "b.onnx", TREE)
    assert report.coverage == 100
    assert report.ok
