"""`split`: stages as files with their maps, what stages.json says, and that they compute what the whole does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from examples.staged import TREE, net, value
from onnx_tagger.errors import TaggerError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(net(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_stages_are_tagged_files_with_maps_that_compute_what_the_whole_does(file: Path, tmp_path: Path) -> None:
    made = ot.split(file, tmp_path / "out", "embed | blocks.{0..1} | blocks.2 | **", verify=True)
    assert made.verified
    assert made.ok
    assert [stage.file for stage in made.stages] == [f"stage{k}.onnx" for k in range(4)]
    for stage in made.stages:
        path = tmp_path / "out" / stage.file
        onnx.checker.check_model(onnx.load(path), full_check=True)
        report = ot.check(path, tmp_path / "out" / stage.map)
        assert report.ok
        assert report.coverage == 100
        assert report.nodes == stage.nodes
        size = path.stat().st_size
        assert stage.size == size


def test_what_an_earlier_stage_needs_is_hoisted_there(file: Path, tmp_path: Path) -> None:
    made = ot.split(file, tmp_path / "out", "embed | blocks.0 | **", verify=True)
    assert [stage.hoisted for stage in made.stages] == [0, 1, 0]
    names = [[node.name for node in onnx.load(tmp_path / "out" / stage.file).graph.node] for stage in made.stages]
    assert names[0] == ["embed"]
    assert "mask" in names[1]


def test_constants_and_tied_weights_are_in_each_stage_that_needs_them(file: Path, tmp_path: Path) -> None:
    made = ot.split(file, tmp_path / "out", "embed | blocks.0 | **")
    graphs = [onnx.load(tmp_path / "out" / stage.file).graph for stage in made.stages]
    assert [{t.name for t in graph.initializer} for graph in graphs] == [{"w"}, {"one"}, {"w", "one"}]
    assert ["scale" in {node.name for node in graph.node} for graph in graphs] == [False, True, True]
    assert np.frombuffer(graphs[0].initializer[0].raw_data, np.float32).size == 16


def test_stages_json_says_what_crosses_and_what_goes_past_a_stage(file: Path, tmp_path: Path) -> None:
    made = ot.split(file, tmp_path / "out", "embed | blocks.0 | **")
    said = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert said == json.loads(made.to_json())
    assert said["format"] == "onnx-tagger/stages"
    assert said["verified"] is None
    assert said["stages"][1]["inputs"] == [
        {"name": "x", "type": "float", "shape": [4, 4], "bytes": 64, "from": None, "skip": False},
        {"name": "embed", "type": "float", "shape": [4, 4], "bytes": 64, "from": 0, "skip": False},
    ]
    assert said["skip_connections"] == [{"tensor": "embed", "from": 0, "to": 2}]
    assert made.skips == [("embed", 0, 2)]


@pytest.mark.parametrize("by", ["bytes", "flops", "time"])
def test_stages_are_found_by_what_they_cost(by: str, file: Path, tmp_path: Path) -> None:
    made = ot.split(file, tmp_path / "out", balance=2, by=by, verify=True)
    assert made.verified
    assert len(made.stages) == 2
    costs = [stage.cost for stage in made.stages]
    assert all(cost is not None for cost in costs)
    if by != "time":
        assert costs == pytest.approx([costs[0]] * 2, rel=0.2)


def test_times_come_from_a_saved_profile(file: Path, tmp_path: Path) -> None:
    saved = ot.profile(file, level="disable", sessions=2, runs=2)
    saved.save(tmp_path / "p.json")
    made = ot.split(file, tmp_path / "out", balance=2, by="time", profile=tmp_path / "p.json")
    costs = [stage.cost or 0.0 for stage in made.stages]
    constant = next(kernel.mean for kernel in saved.kernels if kernel.name == "scale")
    # It is copied to where it is read, in one stage or in both.
    assert sum(costs) - saved.whole.mean == pytest.approx(0.0, abs=constant * 1.01)


def test_a_profile_of_another_file_is_refused(file: Path, tmp_path: Path) -> None:
    other = net()
    for node in other.graph.node:
        node.name = f"other_{node.name}"
    onnx.save(other, tmp_path / "other.onnx")
    ot.profile(tmp_path / "other.onnx", level="disable", sessions=2, runs=2).save(tmp_path / "p.json")
    with pytest.raises(TaggerError, match="profile with --level disable"):
        ot.split(file, tmp_path / "out", balance=2, by="time", profile=tmp_path / "p.json")


def test_a_file_without_own_tags_takes_them_from_a_map_and_its_stages_carry_them(tmp_path: Path) -> None:
    onnx.save(net(tagged=False), tmp_path / "bare.onnx")
    with pytest.raises(TaggerError, match="no node has a tag"):
        ot.split(tmp_path / "bare.onnx", tmp_path / "out", "embed | **")
    model = net()
    for node in model.graph.node:
        tag = ot.tag_of(node)
        assert tag is not None
        del node.metadata_props[:]
        node.metadata_props.add(key="namespace", value=tag.tag.lstrip("/"))
    onnx.save(model, tmp_path / "m.onnx")
    made = ot.split(tmp_path / "m.onnx", tmp_path / "out", "embed | **", map=TREE, verify=True)
    assert made.verified
    assert ot.check(tmp_path / "out" / "stage1.onnx").coverage == 100


def test_weights_in_a_data_file_go_into_data_files_of_the_stages(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    onnx.save(net(), tmp_path / "in" / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    made = ot.split(tmp_path / "in" / "m.onnx", tmp_path / "out", "embed | blocks.0 | **", verify=True)
    assert made.verified
    assert (tmp_path / "out" / "stage0.onnx.data").stat().st_size == 64
    whole = onnx.load(tmp_path / "out" / "stage0.onnx").graph.initializer[0]
    assert whole.raw_data == next(t for t in net().graph.initializer if t.name == "w").raw_data


def test_bodies_and_functions_come_along(tmp_path: Path) -> None:
    then = helper.make_graph(
        [helper.make_node("Add", ["b1", "mask"], ["t"], "t")],
        "then",
        [],
        [value("t")],
    )
    other = helper.make_graph([helper.make_node("Identity", ["b0"], ["e"], "e")], "else", [], [value("e")])
    model = net()
    choose = helper.make_node("If", ["flag"], ["chosen"], "choose", then_branch=then, else_branch=other)
    call = helper.make_node("Twice", ["chosen"], ["z"], "call", domain="loc")
    for node in (choose, call, *then.node, *other.node):
        ot.write_tag(node, TREE.tag("head", ot.Source.EXPORTED))
    inner = helper.make_node("Add", ["a", "a"], ["b"], "inner")
    model.functions.append(helper.make_function("loc", "Twice", ["a"], ["b"], [inner], [helper.make_opsetid("", 17)]))
    model.opset_import.append(helper.make_opsetid("loc", 1))
    del model.graph.node[-2:]
    del choose.attribute[:]
    choose.attribute.extend([helper.make_attribute("then_branch", then), helper.make_attribute("else_branch", other)])
    model.graph.node.extend([choose, call])
    model.graph.input.append(helper.make_tensor_value_info("flag", onnx.TensorProto.BOOL, []))
    model.graph.output[0].name = "z"
    onnx.save(model, tmp_path / "m.onnx")
    made = ot.split(tmp_path / "m.onnx", tmp_path / "out", "embed | blocks.0 | blocks.1 | **", verify=True)
    assert made.verified
    assert {one.name for one in made.stages[3].inputs} == {"b0", "b1", "mask", "scale", "flag"} - {"scale"}


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("embed", "fewer than two"),
        ("embed | ", "empty one"),
        ("embed | block.0", "did you mean"),
        ("embed | blocks.{0 | **", "brace"),
        ("** | embed", "stage 1 ('embed') would be empty"),
        ("head | **", "would be empty"),
    ],
)
def test_what_cannot_be_cut(at: str, words: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(TaggerError) as error:
        ot.split(file, tmp_path / "out", at)
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of --at and --balance"),
        ({"at": "a | b", "balance": 2}, "one of --at and --balance"),
        ({"balance": 1}, "from 2"),
        ({"balance": 99}, "too few"),
        ({"balance": 2, "by": "weight"}, "the measure"),
        ({"at": "a | b", "profile": "p.json"}, "--by time"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, object], words: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match=words):
        ot.split(file, tmp_path / "out", **options)  # type: ignore[arg-type]


def test_the_folder_of_the_model_and_a_file_are_no_places_for_stages(file: Path, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="holds the model itself"):
        ot.split(file, tmp_path, "embed | **")
    (tmp_path / "taken").touch()
    with pytest.raises(TaggerError, match="is a file"):
        ot.split(file, tmp_path / "taken", "embed | **")
