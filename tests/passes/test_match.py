"""Match: the saved node, own keys, torch's keys, TorchScript names, dialects; what is not known stays unknown."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, strategies as st
from onnx import helper

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.map import HierarchyMap, Module, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import operator, walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

TREE = HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("layer", "ModuleList", tagged=False, keyed=True),
        ModuleRow("layer.0", "Layer"),
        ModuleRow("layer.0.attention", "Attention"),
        ModuleRow("layer.0.attention.query", "Linear"),
        ModuleRow("layer.1", "Layer"),
        ModuleRow("seq", "ModuleList", tagged=False, keyed=True),
        ModuleRow("seq.2", "Sequential", keyed=True),
        ModuleRow("seq.2.0", "Linear"),
        ModuleRow("act", "Act"),
        ModuleRow("act_1", "Act"),
    ]
)
PATHS = sorted(module.path for module in TREE.modules if module.tag is not None)


def node(op: str = "Relu", inputs: str = "x", outputs: str = "y", name: str = "", **keys: str) -> onnx.NodeProto:
    """Make a node from space-separated tensor names (`-` is the empty name), with metadata."""
    made: onnx.NodeProto = helper.make_node(
        op, [n.strip("-") for n in inputs.split()], [n.strip("-") for n in outputs.split()], name
    )
    metadata.add_entries(made, list(keys.items()))
    return made


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [], []))


def saved(made: onnx.ModelProto, *tags: Tag | None) -> HierarchyMap:
    """Make the map of a model's export, with a tag for each node."""
    ops = walk(made).ops
    nodes = [
        SavedNode(op.scope.name, op.node.name, operator(op.node), tuple(op.node.input), tuple(op.node.output), tag)
        for op, tag in zip(ops, tags, strict=True)
    ]
    return HierarchyMap(TREE.modules, (), SavedGraph(nodes, (), (), {}))


def match(made: onnx.ModelProto, tree: HierarchyMap = TREE, step: Match | None = None) -> list[tuple[str, str] | None]:
    """Return (module, source) of each node."""
    ctx = PassManager([step or Match()], verify=True).run_in(Context(made, tree))
    return [(ctx.tags[op].module, ctx.tags[op].source.label) if op in ctx.tags else None for op in ctx.ops]


def tag(path: str, source: Source = Source.EXPORTED, *origins: str, call: tuple[str, ...] = ()) -> Tag:
    return TREE.tag(path, source, origins, call)


def own(path: str, source: Source = Source.EXPORTED, *origins: str) -> dict[str, str]:
    return dict(metadata.own_entries(tag(path, source, *origins)))


def torch_keys(*paths: str, root: str = "") -> dict[str, str]:
    return {metadata.TORCH_SCOPES: repr([root, *paths, "add_1"])}


# The saved graph.


def test_a_saved_node_is_known_by_output_and_inputs() -> None:
    tree = saved(model(node("MatMul", "x w", "h"), node("Add", "h b", "y")), tag("layer.0"), tag("layer.1"))
    # Names of nodes and their order do not count.
    assert match(model(node("Add", "h b", "y", "n"), node("MatMul", "x w", "h", "m")), tree) == [
        ("layer.1", "matched"),
        ("layer.0", "matched"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        node("Mul", "x w", "h"),
        node("Add", "x v", "h"),
        node("Add", "w x", "h"),
        node("Add", "x w more", "h"),
        node("Add", "x w", "other"),
        helper.make_node("Add", ["x", "w"], ["h"], domain="com.microsoft"),
    ],
)
def test_another_operator_other_inputs_or_outputs_are_another_node(changed: onnx.NodeProto) -> None:
    assert match(model(changed), saved(model(node("Add", "x w", "h")), tag("layer.0"))) == [None]


def test_empty_inputs_at_the_end_do_not_count() -> None:
    tree = saved(model(node("Clip", "x - hi -", "h")), tag("layer.0"))
    assert match(model(node("Clip", "x - hi", "h")), tree) == [("layer.0", "matched")]
    assert match(model(node("Clip", "x hi", "h")), tree) == [None]


def test_outputs_that_two_saved_nodes_make_tell_nothing() -> None:
    twice = model(node("Relu", "x", "h"), node("Relu", "x", "h"))
    assert match(model(node("Relu", "x", "h")), saved(twice, tag("layer.0"), tag("layer.1"))) == [None]


def test_outputs_of_two_saved_nodes_tell_nothing() -> None:
    tree = saved(model(node("Split", "x", "a"), node("Split", "x", "b")), tag("layer.0"), tag("layer.1"))
    assert match(model(node("Split", "x", "a b")), tree) == [None]


def test_a_saved_node_without_module_tells_nothing() -> None:
    assert match(model(node()), saved(model(node()), None)) == [None]


def test_scopes_of_functions_are_apart() -> None:
    made = model(node("Relu", "x", "h"))
    made.functions.append(helper.make_function("d", "f", ["x"], ["h"], [node("Relu", "x", "h")], []))
    tree = saved(made, tag("layer.0"), tag("layer.1"))
    assert match(made, tree) == [("layer.0", "matched"), ("layer.1", "matched")]


def test_bodies_are_matched_too() -> None:
    either = node("If", "c", "y")
    either.attribute.append(
        helper.make_attribute("then_branch", helper.make_graph([node("Relu", "x", "i")], "b", [], []))
    )
    tree = saved(model(either), tag("layer.0"), tag("layer.0.attention"))
    # The same body under another branch, as after an optimiser.
    either.attribute[0].name = "else_branch"
    assert match(model(either), tree) == [("layer.0", "matched"), ("layer.0.attention", "matched")]


def test_origins_and_calls_of_the_saved_node_stay() -> None:
    made = model(node())
    fused = tag("layer.0", Source.ALIGNED, "layer.0.attention", "layer.0.attention.query", call=("layer.0@1",))
    ctx = PassManager([Match()]).run_in(Context(made, saved(made, fused)))
    assert ctx.tags[ctx.ops[0]] == fused


@pytest.mark.parametrize("source", Source)
def test_a_matched_source_is_the_worse_of_both(source: Source) -> None:
    made = model(node())
    path = "" if source is Source.ROOT else "layer.0"
    assert match(made, saved(made, tag(path, source))) == [(path, max(source, Source.MATCHED).label)]


def test_fresh_keeps_sources_and_insists_on_the_very_graph() -> None:
    made = model(node("Relu", "x", "h"), node("Exp", "h", "y"))
    tree = saved(made, tag("layer.0"), tag("", Source.INHERITED))
    assert match(made, tree, Match(fresh=True)) == [("layer.0", "exported"), ("", "root")]
    del made.graph.node[1]
    with pytest.raises(MapError, match="the map holds 2 nodes, the model 1"):
        match(made, tree, Match(fresh=True))
    made.graph.node.append(node("Exp", "h", "z"))
    with pytest.raises(MapError, match="main#1 Exp is not the map's node"):
        match(made, tree, Match(fresh=True))


# Our own keys.


@pytest.mark.parametrize("source", list(Source)[:-1])
def test_own_keys_keep_their_source(source: Source) -> None:
    assert match(model(node(**own("layer.0", source)))) == [("layer.0", source.label)]


def test_own_keys_keep_origins_and_calls() -> None:
    known = tag("layer.0", Source.ALIGNED, "layer.0.attention", "layer.0", call=("layer.0@1", "layer.0@2"))
    ctx = PassManager([Match()]).run_in(Context(model(node(**dict(metadata.own_entries(known)))), TREE))
    assert list(ctx.tags.values()) == [known]


@pytest.mark.parametrize(
    "change",
    [
        {metadata.MODULE: "elsewhere", metadata.TAG: "/Net/Layer"},
        {metadata.MODULE: "layer", metadata.TAG: "/Net/ModuleList"},
        {metadata.TAG: "x"},
        {metadata.SOURCE: "guessed"},
        {metadata.ORIGINS: '["layer.0", "elsewhere"]'},
    ],
)
def test_own_keys_that_the_map_does_not_know_tell_nothing(change: dict[str, str]) -> None:
    assert match(model(node(**{**own("layer.0"), **change}))) == [None]


def test_own_keys_of_an_alias_mean_the_canonical_module() -> None:
    modules = (Module("", "Net", "/Net"), Module("a", "A", "/Net/A", "", aliases=("b",)))
    entries = {metadata.TAG: "/Net/A", metadata.MODULE: "b", metadata.SOURCE: "matched"}
    assert match(model(node(**entries)), HierarchyMap(modules)) == [("a", "matched")]


# Torch's keys.


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (torch_keys(), ("", "exported")),
        (torch_keys("layer.0", "layer.0.attention"), ("layer.0.attention", "exported")),
        (torch_keys("_export_root.layer.0", root="_export_root"), ("layer.0", "exported")),
        (torch_keys(root="_export_root"), ("", "exported")),
        (torch_keys("layer.0", "layer"), ("", "exported")),
        (torch_keys("elsewhere"), None),
        ({metadata.TORCH_SCOPES: "['']"}, None),
        ({metadata.TORCH_SCOPES: "__import__('os').abort()"}, None),
        ({metadata.TORCH_SCOPES: "['', 'layer.0', 'add'] + ['x']"}, None),
        ({metadata.TORCH_SCOPES: "(" * 10_000}, None),
        ({metadata.TORCH_SCOPES: repr(["", "layer.0"] * 10_000)}, None),
    ],
)
def test_torch_s_keys(keys: dict[str, str], expected: tuple[str, str] | None) -> None:
    assert match(model(node(**keys))) == [expected]


# TorchScript's names.


@pytest.mark.parametrize(
    ("name", "op", "path"),
    [
        ("/layer/layer.0/attention/query/MatMul", "MatMul", "layer.0.attention.query"),
        ("/layer.0/attention/query/Add", "Add", "layer.0.attention.query"),
        ("/layer.0/attention/query/Add_12", "Add", "layer.0.attention.query"),
        ("/layer.1/Add", "Add", "layer.1"),
        ("/seq.2/seq.2.0/Gemm", "Gemm", "seq.2.0"),
        ("/Add_3", "Add", ""),
        ("/act/Relu", "Relu", "act"),
        ("/act_1/Relu", "Relu", "act_1"),
        ("/layer.0/attention_1/Add", "Add", "layer.0.attention"),
    ],
)
def test_torchscript_names(name: str, op: str, path: str) -> None:
    assert match(model(node(op, name=name))) == [(path, "matched")]


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("", "Add"),
        ("Add", "Add"),
        ("Add_3", "Add"),
        ("layer.0/Add", "Add"),
        ("/layer.0/Add", "Mul"),
        ("/layer.0/Addition", "Add"),
        ("/layer.0/Add_x", "Add"),
        ("/layer.0/", "Add"),
        ("/layer.0", "Add"),
        ("/layer.2/Add", "Add"),
        ("/elsewhere/Add", "Add"),
        ("/layer.0/elsewhere/Add", "Add"),
        ("/query/Add", "Add"),
        ("/attention/query/Add", "Add"),
        ("/layer.0/query/Add", "Add"),
        ("/layer/Add", "Add"),
        ("/0/Add", "Add"),
        ("//Add", "Add"),
        ("//layer.0/Add", "Add"),
        ("/layer.0//Add", "Add"),
        ("/layer.0/attention_1_1/Add", "Add"),
        ("/layer.0/attention_x/Add", "Add"),
        ("/layer.0" + "_1" * 3000 + "/Add", "Add"),
        ("/.layer.0/Add", "Add"),
    ],
)
def test_names_that_spell_no_module_tell_nothing(name: str, op: str) -> None:
    assert match(model(node(op, name=name))) == [None]


@given(st.text(alphabet="/._01ayerltoncqu", max_size=30))
def test_any_name_is_read_without_error(name: str) -> None:
    (found,) = match(model(node("Add", name=f"/{name}/Add")))
    assert found is None or found[0] in PATHS


# Dialects, and who is believed.


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({metadata.WINML_TAG: "/Net/Layer.0/Attention"}, "layer.0.attention"),
        ({metadata.WINML_TAG: "/Net/Layer.0/"}, "layer.0"),
        ({metadata.NAMESPACE: "Net/Layer.0"}, "layer.0"),
        ({metadata.LAYER_ANN: "/Net/Layer.0/"}, "layer.0"),
        ({metadata.WINML_TAG: "/Net/Layer.9"}, None),
        ({metadata.LAYER_ANN: "gpu(encoder)"}, None),
        ({metadata.NAMESPACE: "lib.Net: /layer.0: lib.Layer"}, None),
    ],
)
def test_dialects(keys: dict[str, str], path: str | None) -> None:
    assert match(model(node(**keys))) == [(path, "matched") if path is not None else None]


def test_doc_string() -> None:
    made = model(node())
    made.graph.node[0].doc_string = "theirs\nonnx_tagger:layer.0"
    assert match(made) == [("layer.0", "matched")]


def test_carriers_are_believed_in_the_order_of_the_design() -> None:
    """Saved map, own keys, torch's keys, dialects, and last the name."""
    made = model(node("Relu", name="/act/Relu"))
    tree = saved(made, tag("layer.1"))
    bare = made.graph.node[0]
    assert match(made) == [("act", "matched")]
    metadata.add_entries(bare, [(metadata.WINML_TAG, "/Net/Layer.0/Attention")])
    assert match(made) == [("layer.0.attention", "matched")]
    metadata.add_entries(bare, list(torch_keys("layer.0").items()))
    assert match(made) == [("layer.0", "exported")]
    metadata.add_entries(bare, list(own("seq.2").items()))
    assert match(made) == [("seq.2", "exported")]
    assert match(made, tree) == [("layer.1", "matched")]


def test_options_leave_carriers_out() -> None:
    made = model(node("Relu", name="/act/Relu", **own("layer.0"), **torch_keys("layer.1")))
    tree = saved(made, tag("seq.2"))
    assert match(made, tree, Match(saved=False)) == [("layer.0", "exported")]
    assert match(made, tree, Match(saved=False, own=False)) == [("layer.1", "exported")]
    assert match(made, tree, Match(saved=False, own=False, dialects=())) == [None]


def test_conflicts_are_reported() -> None:
    made = model(*(node("Relu", "x", f"y{i}", **own("layer.0")) for i in range(7)))
    report = PassManager([Match()]).run(made, saved(made, *[tag("layer.1")] * 7))
    (note,) = report.fallbacks
    assert note.startswith(
        "carriers contradict each other: main#0 Relu: the map says 'layer.1', the node 'layer.0'; main#1"
    )
    assert note.endswith(" and 2 more")


def test_agreement_is_no_conflict() -> None:
    made = model(node("Relu", "x", "y", **own("layer.0")), node("Exp", "y", "z", **own("layer.0.attention")))
    fused = tag("layer.0", Source.ALIGNED, "layer.0", "layer.0.attention")
    assert PassManager([Match()]).run(made, saved(made, tag("layer.0"), fused)).fallbacks == []


def test_without_a_map_nothing_is_done() -> None:
    ctx = PassManager([Match()]).run_in(Context(model(node(**own("layer.0")))))
    assert ctx.tags == {}


def test_what_has_a_tag_keeps_it() -> None:
    ctx = Context(model(node(**own("layer.0"))), TREE)
    ctx.tags[ctx.ops[0]] = tag("layer.1")
    PassManager([Match()]).run_in(ctx)
    assert ctx.tags[ctx.ops[0]] == tag("layer.1")


# A source never improves.

tags = st.none() | st.builds(tag, st.sampled_from(PATHS), st.sampled_from(list(Source)[:-1]))


@given(st.data())
def test_a_source_never_improves(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    tensors = ["x", *(f"t{i}" for i in range(count))]
    exported = model(*(node("Op", data.draw(st.sampled_from(tensors[: i + 1])), f"t{i}") for i in range(count)))
    tree = saved(exported, *(data.draw(tags) for _ in range(count)))
    assert tree.graph is not None
    by_output = {entry.outputs[0]: entry for entry in tree.graph.nodes}
    # Any file made of it: tagged before or not, nodes renamed, turned into others, left out.
    changed = model()
    for each in exported.graph.node:
        if data.draw(st.integers(0, 5)):
            copy = changed.graph.node.add()
            copy.CopyFrom(each)
            copy.op_type = data.draw(st.sampled_from(["Op", "Op", "Cast", "Other"]))
            known = data.draw(tags)
            if known is not None:
                metadata.write_node(copy, known, ())
    ctx = PassManager([Match(), Align(), Inherit(), Inject()], verify=True).run_in(Context(changed, tree))
    for op, found in ctx.tags.items():
        entry = by_output[op.node.output[0]]
        same = (entry.op, entry.inputs) == (op.node.op_type, tuple(op.node.input))
        if same and entry.tag is not None:
            assert found.source >= max(entry.tag.source, Source.MATCHED)
        assert found.source is not Source.ROOT or not found.module
        assert found.source is not Source.INHERITED or found.module
    # A second time, from what was written, with the map or without: no better either, and nothing changes.
    data = changed.SerializeToString(deterministic=True)
    for known_tree in (tree, hierarchy_of_model(changed)):
        PassManager([Match(), Align(), Inherit(), Inject()], verify=True).run_in(Context(changed, known_tree))
        assert changed.SerializeToString(deterministic=True) == data


def test_a_scope_of_more_parts_than_any_model_has_is_not_spelt() -> None:
    name = "/" + "layer." * 2 * metadata.MAX_PARTS + "0/Neg"
    made = helper.make_model(helper.make_graph([helper.make_node("Neg", ["x"], ["y"], name)], "g", [], []))
    assert PassManager([Match()]).run_in(Context(made, TREE)).tags == {}


def test_torch_s_keys_of_a_folded_node_and_the_weight_that_it_reads() -> None:
    """Torch names the module whose work was folded; the weight's name tells into whose."""
    keys = {
        metadata.TORCH_SCOPES: "['', 'act', 'batch_norm']",
        metadata.REWRITE_RULE: "FuseBatchNormIntoConv",
    }
    made = model(node("Conv", "x layer.0.attention.query.weight", **keys), node("Relu", "y", "z", **keys))
    ctx = PassManager([Match()], verify=True).run_in(Context(made, TREE))
    assert [ctx.tags[op].origins for op in ctx.ops] == [("act", "layer.0.attention.query"), ()]
