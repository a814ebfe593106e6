"""What is shown of a file: facts, columns to begin with, names and shapes of nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import onnx_tagger as ot
from onnx_tagger.workflows.viewing import shapes_of, sources_measure, unique_names, view

Net = Callable[..., onnx.ModelProto]


def test_facts_and_columns(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    onnx.save(net(after=True), path)
    tagged = ot.read(path)
    found = view(tagged, ["weights"], ot.read(net()), path)
    facts = dict(found.facts)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts["bytes"], facts["nodes"], facts["tagged"]) == (str(path.stat().st_size), "6", "83.3 %")
    assert (facts["before"], facts["nodes before"]) == ("the given model", "8")
    assert (found.title, found.size, found.colour) == ("n.onnx", "weights after", "weights change")
    alone = view(tagged)
    assert (alone.size, alone.colour) == (None, None)
    assert alone.measure.column == sources_measure(tagged).column
    with pytest.raises(ot.TaggerError, match="cannot be read"):
        view(tagged, path=tmp_path / "gone.onnx")


def test_names_are_unique() -> None:
    nodes = [helper.make_node("Relu", [], [f"y{k}"], name) for k, name in enumerate(("a", "a", "", "main#2 Relu", ""))]
    tagged = ot.read(helper.make_model(helper.make_graph(nodes, "g", [], [])))
    names = unique_names(tagged.measured.ops)
    assert names[:3] == ["a", "main#1 Relu", "main#2 Relu"]
    assert len(set(names)) == 5


def test_shapes_are_those_that_the_file_says() -> None:
    nodes = [helper.make_node("Relu", ["x"], [name], name) for name in "abcd"]
    values = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", 3, None]),
        helper.make_tensor_value_info("b", TensorProto.INT64, []),
        helper.make_tensor_sequence_value_info("c", TensorProto.FLOAT, [1]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], values[:1], value_info=values[1:]))
    assert shapes_of(ot.read(model).measured.ops) == ["batch×3×? float", "scalar int64", "sequence_type", ""]
