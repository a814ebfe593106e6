"""Borders, and the types of what crosses them."""

import onnx
import pytest
from onnx import helper

from examples.staged import TREE, net
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.splitting.borders import borders_of, typed
from onnx_tagger.workflows.splitting.maingraph import main_graph
from onnx_tagger.workflows.splitting.staging import staged_by_cuts


def never(names: list[str]) -> dict[str, onnx.ValueInfoProto]:
    raise AssertionError(names)


def test_a_stage_takes_what_it_does_not_make_and_gives_what_others_read() -> None:
    graph = main_graph(read_tags(net(), TREE))
    first, second = borders_of(graph, staged_by_cuts(graph, [4]))
    assert first.inputs == {"x": None}
    assert set(first.outputs) == {"embed", "mask", "a0"}
    assert second.inputs == {"mask": 0, "embed": 0, "a0": 0}
    assert second.outputs == ["y"]
    assert "w" in first.stored
    assert "w" in second.stored


def test_types_are_what_the_file_states_or_onnx_infers() -> None:
    model = net()
    model.graph.value_info.append(helper.make_tensor_value_info("embed", 1, ["batch", 4]))
    found = typed(model, ["embed", "b1"], never)
    assert found["embed"].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [dim.dim_value for dim in found["b1"].type.tensor_type.shape.dim][1:] == [4]


def test_what_neither_knows_is_asked_for() -> None:
    model = net()
    model.graph.node[1].domain = "some.domain"
    asked: list[str] = []

    def ask(names: list[str]) -> dict[str, onnx.ValueInfoProto]:
        asked.extend(names)
        return {"embed": helper.make_tensor_value_info("embed", 1, [4, 4])}

    assert typed(model, ["embed"], ask).keys() == {"embed"} == set(asked)
    with pytest.raises(TaggerError, match="is not known"):
        typed(model, ["embed"], lambda names: {})
