"""`extract`: modules as files that run and give what the whole does, with maps seen from the module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from examples.looped import fused, looped, shaped
from examples.staged import TREE, net
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.cutting.region import NotExtractedError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(net(), tmp_path / "m.onnx")
    TREE.save(tmp_path / "m.hierarchy.json")
    return tmp_path / "m.onnx"


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def test_a_module_is_a_tagged_file_with_its_map_that_gives_what_the_whole_does(file: Path, tmp_path: Path) -> None:
    made = ot.extract(file, "blocks.1", tmp_path / "p.onnx", verify=True, map=tmp_path / "m.hierarchy.json")
    (part,) = made.parts
    assert made.ok
    assert part.verified is True
    assert [(one.name, one.source, one.owner) for one in part.inputs] == [
        ("blocks.0/b0", "b0", "blocks.0"),
        ("late/mask", "mask", "late"),
    ]
    assert [(one.name, one.source) for one in part.outputs] == [("output", "b1")]
    model = onnx.load(tmp_path / "p.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [node.name for node in model.graph.node] == ["scale", "m1", "a1", "b1"]
    assert [tensor.name for tensor in model.graph.initializer] == ["one"]
    report = ot.check(tmp_path / "p.onnx", tmp_path / "p.hierarchy.json")
    assert report.ok
    assert report.tags == {"/Block": 4}
    tree = ot.HierarchyMap.load(tmp_path / "p.hierarchy.json")
    assert [(module.path, module.class_name) for module in tree.modules] == [("", "Block")]
    assert tree.graph is not None


def test_a_pattern_gives_a_file_for_each_module_and_containers_too(file: Path, tmp_path: Path) -> None:
    made = ot.extract(file, "**", tmp_path / "out", verify=True)
    assert [part.module for part in made.parts if part.verified is True] == [
        part.module for part in made.parts if part.file is not None
    ]
    assert len(made.parts) == 8
    blocks = ot.read(tmp_path / "out" / "blocks.onnx")
    assert {node.module for node in blocks.nodes()} == {"0", "1", "2"}
    assert ot.check(tmp_path / "out" / "blocks.onnx", tmp_path / "out" / "blocks.hierarchy.json").ok


def test_names_of_the_file_stay_on_request(file: Path, tmp_path: Path) -> None:
    (part,) = ot.extract(file, "blocks.1", tmp_path / "p.onnx", names="file").parts
    assert [one.name for one in (*part.inputs, *part.outputs)] == ["b0", "mask", "b1"]


def test_what_comes_back_is_refused_or_dropped(tmp_path: Path) -> None:
    path = saved(looped(), tmp_path)
    with pytest.raises(NotExtractedError, match="come back to it through Tanh 'b0' of b"):
        ot.extract(path, "a", tmp_path / "p.onnx")
    assert not (tmp_path / "p.onnx").exists()
    (part,) = ot.extract(path, "a", tmp_path / "p.onnx", back="drop", verify=True).parts
    assert (part.nodes, part.dropped, part.verified) == (1, 1, True)
    (listed,) = ot.extract(path, "a*", tmp_path / "out").parts
    assert listed.refused is not None
    assert listed.file is None


def test_shape_arithmetic_of_others_is_copied_in(tmp_path: Path) -> None:
    (part,) = ot.extract(saved(shaped(), tmp_path), "a", tmp_path / "p.onnx", verify=True).parts
    assert (part.nodes, part.copied, part.verified) == (3, 1, True)
    assert [one.name for one in part.inputs] == ["x"]


def test_fused_nodes_are_included_or_left_out(tmp_path: Path) -> None:
    path = saved(fused(), tmp_path)
    taken = [ot.extract(path, "a", tmp_path / f"{way}.onnx", fused=way).parts[0] for way in ("include", "exclude")]
    assert [part.nodes for part in taken] == [2, 1]
    tag = ot.tag_of(onnx.load(tmp_path / "include.onnx").graph.node[1])
    assert tag is not None
    assert (tag.module, tag.tag, tag.origins) == ("", "/A", ())
    with pytest.raises(NotExtractedError, match="other modules, too; take them with --fused include"):
        ot.extract(path, "b", tmp_path / "b.onnx", fused="exclude")


def test_calls_are_told_apart(tmp_path: Path) -> None:
    nodes = []
    for k, (module, name, given) in enumerate([("a", "a0", "x"), ("b", "b0", "a0"), ("a", "a1", "b0")]):
        node = helper.make_node("Tanh", [given], [name], name)
        ot.write_tag(
            node, ot.Tag(module, f"/Net/{module.upper()}", ot.Source.EXPORTED, (), (f"a@{k // 2}",) * (k != 1))
        )
        nodes.append(node)
    values = [helper.make_tensor_value_info(name, 1, [2]) for name in ("x", "a1")]
    path = saved(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), tmp_path)
    with pytest.raises(NotExtractedError, match=r"called 2 times, .*name one with --call 0 to 1"):
        ot.extract(path, "a", tmp_path / "p.onnx")
    (part,) = ot.extract(path, "a", tmp_path / "p.onnx", call=1).parts
    assert [one.source for one in part.inputs] == ["b0"]
    with pytest.raises(NotExtractedError, match="2 calls"):
        ot.extract(path, "a", tmp_path / "p.onnx", call=2)


def test_modules_in_bodies_are_refused_with_the_body(tmp_path: Path) -> None:
    inner = helper.make_node("Tanh", ["x"], ["t"], "t")
    ot.write_tag(inner, ot.Tag("b", "/Net/B", ot.Source.EXPORTED))
    body = helper.make_graph([inner], "body", [], [helper.make_tensor_value_info("t", 1, [2])])
    node = helper.make_node("If", ["c"], ["y"], "choice", then_branch=body, else_branch=body)
    ot.write_tag(node, ot.Tag("", "/Net", ot.Source.EXPORTED))
    values = [helper.make_tensor_value_info("c", 9, []), *(helper.make_tensor_value_info(n, 1, [2]) for n in "xy")]
    path = saved(helper.make_model(helper.make_graph([node], "g", values[:2], values[2:])), tmp_path)
    with pytest.raises(NotExtractedError, match=r"its nodes are in main/If_0\.\w+"):
        ot.extract(path, "b", tmp_path / "p.onnx")


def test_weights_in_data_files_go_to_one_beside_the_part(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="w.data")
    (tmp_path / "out").mkdir()
    (part,) = ot.extract(tmp_path / "m.onnx", "embed", tmp_path / "out" / "e.onnx", verify=True).parts
    assert part.verified is True
    given = onnx.load(tmp_path / "out" / "e.onnx").graph.initializer[0]
    whole = onnx.load(tmp_path / "m.onnx").graph.initializer[0]
    assert np.array_equal(onnx.numpy_helper.to_array(given), onnx.numpy_helper.to_array(whole))


def test_wrong_targets_are_refused_before_anything_is_written(file: Path, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="is the input file"):
        ot.extract(file, "embed", file)
    with pytest.raises(TaggerError, match="is a folder"):
        ot.extract(file, "embed", tmp_path)
    with pytest.raises(TaggerError, match="holds the model itself"):
        ot.extract(file, "blocks.*", tmp_path)
    with pytest.raises(TaggerError, match="a pattern gives several"):
        ot.extract(file, "blocks.*", file)
    with pytest.raises(TaggerError, match="no node has a tag"):
        ot.extract(saved(net(tagged=False), tmp_path), "embed", tmp_path / "p.onnx")
