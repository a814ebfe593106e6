"""A map from a file alone: own keys, torch's keys, class paths; and what makes no map."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from onnx_tagger.hierarchy.carriers import tag_by_itself
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.workflows.checking import load_map, read_tags


def model(*props: dict[str, str]) -> onnx.ModelProto:
    """Make a chain of one node for each dict of metadata."""
    nodes = []
    for index, entries in enumerate(props):
        node = helper.make_node("Relu", [f"t{index}"], [f"t{index + 1}"], f"n{index}")
        metadata.add_entries(node, list(entries.items()))
        nodes.append(node)
    float1 = [helper.make_tensor_value_info(name, 1, [1]) for name in ("t0", f"t{len(props)}")]
    return helper.make_model(helper.make_graph(nodes, "g", float1[:1], float1[1:]))


def own(module: str, tag: str, *origins: str, source: Source = Source.MATCHED) -> dict[str, str]:
    return dict(metadata.own_entries(Tag(module, tag, source, origins)))


def torch_keys(*stack: str) -> dict[str, str]:
    """Torch's keys of ``path:class`` pairs."""
    paths, classes = zip(*(pair.split(":") for pair in stack), strict=True)
    return {
        metadata.TORCH_SCOPES: repr([*paths, "add_1"]),
        metadata.TORCH_CLASSES: repr([*(f"lib.{name}" for name in classes), "aten.add.Tensor"]),
    }


def tags(tree: HierarchyMap | None) -> dict[str, str | None]:
    assert tree is not None
    return {module.path: module.tag for module in tree.modules}


def test_own_keys() -> None:
    tree = hierarchy_of_model(model(own("a.0.x", "/Net/A.0/X"), own("a.0", "/Net/A.0"), own("", "/Net")))
    assert tags(tree) == {"": "/Net", "a.0.x": "/Net/A.0/X", "a.0": "/Net/A.0"}
    assert tree is not None
    assert [(m.path, m.class_name, m.parent) for m in tree.modules] == [
        ("", "Net", None),
        ("a.0.x", "X", "a.0"),
        ("a.0", "A", ""),
    ]
    assert tree.graph is None


def test_the_root_is_known_by_any_tag() -> None:
    assert tags(hierarchy_of_model(model(own("a", "/Net/A")))) == {"": "/Net", "a": "/Net/A"}


def test_origins_are_modules_without_tags() -> None:
    tree = hierarchy_of_model(model(own("", "/Net", "a", "b"), own("b", "/Net/B")))
    assert tags(tree) == {"": "/Net", "a": None, "b": "/Net/B"}


def test_of_contradicting_pairs_the_first_is_believed() -> None:
    tree = hierarchy_of_model(model(own("a", "/Net/A"), own("b", "/Net/A"), own("a", "/Net/B"), own("c", "/Net/B")))
    assert tags(tree) == {"": "/Net", "a": "/Net/A", "c": "/Net/B"}


def test_escaped_class_names_are_unescaped() -> None:
    tree = hierarchy_of_model(model(own("a.x", "/Net/B%2Fc%2E%25.x")))
    assert tree is not None
    assert tree.by_path["a.x"].class_name == "B/c.%"


def test_a_tagged_file_is_a_map_with_its_graph(tmp_path: Path) -> None:
    made = model(own("a", "/Net/A"), {})
    made.graph.node[1].domain = "com.microsoft"
    made.graph.initializer.append(helper.make_tensor("w", 1, [1], [1.0]))
    onnx.save(made, tmp_path / "m.onnx")
    tree = load_map(tmp_path / "m.onnx")
    assert tree.graph is not None
    assert [(n.scope, n.name, n.op, n.inputs, n.outputs, n.tag and n.tag.module) for n in tree.graph.nodes] == [
        ("main", "n0", "Relu", ("t0",), ("t1",), "a"),
        ("main", "n1", "com.microsoft::Relu", ("t1",), ("t2",), None),
    ]
    assert (tree.graph.inputs, tree.graph.outputs, dict(tree.graph.initializers)) == (("t0",), ("t2",), {"w": ()})


def test_a_tagged_file_is_loaded_as_a_map_whatever_it_is_called(tmp_path: Path) -> None:
    onnx.save(model(own("a", "/Net/A")), tmp_path / "m.onnx")
    (tmp_path / "m.bin").write_bytes((tmp_path / "m.onnx").read_bytes())
    for path in (tmp_path / "m.onnx", str(tmp_path / "m.onnx"), tmp_path / "m.bin"):
        assert HierarchyMap.load(path) == load_map(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "made",
    [
        model(own("a", "/Net/A"), own("", "/Net", "a", "b"), own("b", "/Net/Other"), {}),
        model(torch_keys(":Net", "a:A"), {}, torch_keys(":Net", "b:B")),
        model({metadata.WINML_TAG: "/Net/A"}, {metadata.LAYER_ANN: "/Net/A/"}, {metadata.NAMESPACE: "Net/B"}),
        model(own("a", "/Net/A"), torch_keys(":Net", "a:A"), torch_keys(":Net", "b:B")),
    ],
    ids=["own", "torch", "dialects", "mixed"],
)
def test_a_map_has_the_tags_that_match_finds(made: onnx.ModelProto, tmp_path: Path) -> None:
    """What reads a tagged file as a map does not go through the pass, and must not differ from it."""
    made.graph.node[-1].name = "/a/Relu"
    onnx.save(made, tmp_path / "m.onnx")
    graph = HierarchyMap.load(tmp_path / "m.onnx").graph
    ctx = read_tags(made)
    assert graph is not None
    assert [node.tag for node in graph.nodes] == [ctx.tags.get(op) for op in ctx.ops]
    assert any(ctx.tags)


def test_digest_of_the_map_comes_from_the_model() -> None:
    made = model(own("a", "/Net/A"))
    metadata.write_model(made, "0", "abc", ())
    tree = hierarchy_of_model(made)
    assert tree is not None
    assert tree.digest == "abc"


def test_torch_s_keys() -> None:
    layers = [torch_keys(":Net", "seq:Sequential", f"seq.{i}:Linear") for i in range(2)]
    blocks = [torch_keys(":Net", f"blocks.{i}:Blk", f"blocks.{i}.lin:Linear") for i in range(2)]
    assert tags(hierarchy_of_model(model(*layers, *blocks))) == {
        "": "/Net",
        "seq": "/Net/Sequential",
        "seq.0": "/Net/Sequential/Linear.0",
        "seq.1": "/Net/Sequential/Linear.1",
        "blocks.0": "/Net/Blk.0",
        "blocks.0.lin": "/Net/Blk.0/Linear",
        "blocks.1": "/Net/Blk.1",
        "blocks.1.lin": "/Net/Blk.1/Linear",
    }


def test_torch_s_keys_of_a_strict_export() -> None:
    keys = torch_keys("_export_root:Net", "_export_root.a:A")
    assert tags(hierarchy_of_model(model(keys))) == {"": "/Net", "a": "/Net/A"}


def test_own_keys_go_before_torch_s() -> None:
    both = {**torch_keys(":Net", "a:A"), **own("b", "/Other/B")}
    assert tags(hierarchy_of_model(model(both))) == {"": "/Other", "b": "/Other/B"}
    assert tags(hierarchy_of_model(model(both), own=False)) == {"": "/Net", "a": "/Net/A"}


def test_class_paths_of_a_dialect() -> None:
    made = model({metadata.WINML_TAG: "/Net/Enc/Layer.0/Linear.query"}, {metadata.WINML_TAG: "/Net/Enc/Layer.1"})
    assert tags(hierarchy_of_model(made)) == {
        "": "/Net",
        "Enc": "/Net/Enc",
        "Enc.Layer.0": "/Net/Enc/Layer.0",
        "Enc.Layer.0.Linear.query": "/Net/Enc/Layer.0/Linear.query",
        "Enc.Layer.1": "/Net/Enc/Layer.1",
    }


def test_class_paths_fit_their_paths_whatever_they_hold() -> None:
    odd = [
        "/Net/A%2EB.0",
        "/Net/A/B",
        "/Net/A.B",
        "/Net/%41",
        "/Net/%FF.x",
        "/Net/A.%2Fx",
        "/Net/%",
        "/Net/A.",
        "/Net/C.%41",
        "/Net/C.%41/D",
    ]
    tree = hierarchy_of_model(model(*({metadata.WINML_TAG: tag} for tag in odd)))
    assert tree is not None
    for path, tag in tags(tree).items():
        assert tag is not None
        assert metadata.fits(tag, path), (tag, path)
    # A tag whose path another one has, or that is spelt as no tag of ours is, may be left out; the plain ones may not.
    assert {"/Net", "/Net/A", "/Net/A/B", "/Net/A.%2Fx"} <= set(tree.by_tag)


def test_class_paths_of_another_root_are_left_out() -> None:
    tree = hierarchy_of_model(model({metadata.WINML_TAG: "/Net/A"}, {metadata.WINML_TAG: "/Other/A"}))
    assert tags(tree) == {"": "/Net", "A": "/Net/A"}


def test_only_the_dialects_asked_for_are_read() -> None:
    made = model({metadata.WINML_TAG: "/Net/A", metadata.LAYER_ANN: "/Net/B/"})
    assert tags(hierarchy_of_model(made, dialects=("layer_ann",))) == {"": "/Net", "B": "/Net/B"}
    assert hierarchy_of_model(made, dialects=("namespace",)) is None


def test_a_file_that_names_no_module_is_no_map() -> None:
    assert hierarchy_of_model(model()) is None
    assert hierarchy_of_model(model({}, {"theirs": "1"})) is None
    assert hierarchy_of_model(model({metadata.TAG: "x", metadata.MODULE: "", metadata.SOURCE: "matched"})) is None


def test_the_root_as_an_origin_keeps_its_tag() -> None:
    """Where no node is tagged with the root itself, and one does its work, too."""
    tree = hierarchy_of_model(model(own("a", "/Net/Blk.a", "", "a")))
    assert tree is not None
    assert tags(tree) == {"": "/Net", "a": "/Net/Blk.a"}
    assert tree.tag("", Source.INHERITED).source is Source.ROOT


def modules_of(*tags: tuple[str, str]) -> dict[str, str | None]:
    found = hierarchy_of_model(model(*(own(path, tag) for path, tag in tags)))
    assert found is not None
    return {module.path: module.tag for module in found.modules}


def test_levels_that_no_node_is_tagged_with_get_their_paths() -> None:
    assert modules_of(("enc.layer.0.fc", "/Net/Enc/Blk.0/Linear"), ("enc.layer.1.fc", "/Net/Enc/Blk.1/Linear")) == {
        "": "/Net",
        "enc": "/Net/Enc",
        "enc.layer.0": "/Net/Enc/Blk.0",
        "enc.layer.1": "/Net/Enc/Blk.1",
        "enc.layer.0.fc": "/Net/Enc/Blk.0/Linear",
        "enc.layer.1.fc": "/Net/Enc/Blk.1/Linear",
    }


def test_levels_of_which_nodes_disagree_have_no_path() -> None:
    assert "/Net/A" not in modules_of(("a.b", "/Net/A/B"), ("c.d", "/Net/A/D")).values()
    # The second path is not read by itself, and yet does not lie in what the first one says.
    assert "/Net/A" not in modules_of(("a.b", "/Net/A/B"), ("x.y.z.d", "/Net/A/D")).values()


def test_a_level_that_is_an_origin_gets_its_tag() -> None:
    found = hierarchy_of_model(model(own("", "/Net", "a", "b"), own("a.x", "/Net/A/X")))
    assert found is not None
    assert {module.path: module.tag for module in found.modules} == {
        "": "/Net",
        "a": "/Net/A",
        "b": None,
        "a.x": "/Net/A/X",
    }


def _folded(rule: str | None, weight: str = "conv.weight") -> onnx.ModelProto:
    """What torch's exporter makes of a convolution and a normalisation: it names the normalisation alone."""
    made = model(torch_keys(":Net", "bn:BatchNorm2d"), torch_keys(":Net", "act:ReLU"))
    node = made.graph.node[0]
    node.op_type = "Conv"
    node.input.append(weight)
    metadata.add_entries(node, [(metadata.REWRITE_RULE, rule)] if rule is not None else [])
    return made


def test_a_weight_s_module_is_known_where_torch_folded_another_into_it() -> None:
    made = _folded("RemoveOptionalBiasFromConv, FuseBatchNormIntoConv")
    tree = hierarchy_of_model(made)
    assert tags(tree) == {"": "/Net", "bn": "/Net/BatchNorm2d", "act": "/Net/ReLU", "conv": None}
    assert tree is not None
    conv, act = (tag_by_itself(op, tree) for op in walk(made).ops)
    assert conv == Tag("", "/Net", Source.EXPORTED, ("bn", "conv"))
    assert act == Tag("act", "/Net/ReLU", Source.EXPORTED)


@pytest.mark.parametrize(("rule", "weight"), [(None, "conv.weight"), ("FuseBatchNormIntoConv", "val_3"), ("", "a.w")])
def test_a_weight_s_name_alone_names_no_module(rule: str | None, weight: str) -> None:
    """Exporters keep one of equal weights, under any one's name."""
    assert "conv" not in tags(hierarchy_of_model(_folded(rule, weight)))
