"""Inject: idempotent, exact, and careful with what others wrote."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, strategies as st
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.metadata import DIALECTS, Source, Tag
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.version import version

TREE = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "A"), ModuleRow("a.x", "X"), ModuleRow("b", "B")])
PLAIN = TREE.tag("a", Source.MATCHED)

subsets = st.sets(st.sampled_from(sorted(DIALECTS))).map(lambda names: metadata.check_dialects(names))


def model() -> onnx.ModelProto:
    """Make a main graph with a body and a function; the second node holds metadata of others."""
    either = helper.make_node("If", ["c"], ["y"], "if")
    either.attribute.append(
        helper.make_attribute("then_branch", helper.make_graph([helper.make_node("Add", [], ["i"])], "t", [], []))
    )
    noted = helper.make_node("Relu", ["x"], ["h"], "noted", doc_string="their text")
    metadata.add_entries(noted, [("theirs", "1"), ("namespace", "their/place"), ("theirs", "2")])
    empty = helper.make_node("Relu", ["x"], ["g"], "empty")
    empty.doc_string = ""
    function = helper.make_function("d", "f", [], ["r"], [helper.make_node("Exp", [], ["r"])], [])
    made = helper.make_model(helper.make_graph([either, noted, empty], "g", [], []), functions=[function])
    metadata.add_entries(made, [("their key", "v")])
    return made


def inject(made: onnx.ModelProto, step: Inject, *tags: Tag | None, tree: HierarchyMap | None = TREE) -> int:
    """Inject these tags in the order of the walk, or `PLAIN` everywhere, and return how many nodes changed."""
    ctx = Context(made, tree)
    ctx.tags.update(
        {op: tag for op, tag in zip(ctx.ops, tags or [PLAIN] * len(ctx.ops), strict=True) if tag is not None}
    )
    PassManager([step], verify=True).run_in(ctx)
    return ctx.report.passes[-1].changed


def entries(node: onnx.NodeProto) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for entry in node.metadata_props]


def test_every_node_gets_its_keys() -> None:
    made = model()
    assert inject(made, Inject()) == 5
    own = metadata.own_entries(PLAIN)
    assert entries(made.graph.node[0]) == own
    assert entries(made.graph.node[0].attribute[0].g.node[0]) == own
    assert entries(made.functions[0].node[0]) == own
    assert entries(made.graph.node[1]) == [("theirs", "1"), ("namespace", "their/place"), ("theirs", "2"), *own]


def test_a_node_without_tag_gets_nothing_and_loses_what_we_wrote() -> None:
    made = model()
    before = made.graph.node[0].SerializeToString()
    inject(made, Inject())
    assert inject(made, Inject(), None, PLAIN, PLAIN, PLAIN, PLAIN) == 1
    assert made.graph.node[0].SerializeToString() != before  # its body still holds a tag
    assert not made.graph.node[0].metadata_props


@given(subsets)
def test_a_second_time_changes_nothing(also: tuple[str, ...]) -> None:
    made = model()
    assert inject(made, Inject(also=also)) == 5
    before = made.SerializeToString(deterministic=True)
    assert inject(made, Inject(also=also)) == 0
    assert inject(made, Inject()) == 0
    assert made.SerializeToString(deterministic=True) == before


@given(subsets, subsets)
def test_dialects_are_written_and_cleared_exactly(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    made, direct = model(), model()
    inject(made, Inject(also=first))
    inject(made, Inject(also=second))
    inject(direct, Inject(also=second))
    assert made == direct
    keys = {key for key, _ in entries(made.graph.node[0]) if not key.startswith(metadata.PREFIX)}
    assert keys == {key for key, _ in metadata.dialect_entries(PLAIN, second)}


@given(subsets)
def test_clearing_leaves_the_model_as_it_was(also: tuple[str, ...]) -> None:
    made, before = model(), model()
    inject(made, Inject(also=also))
    inject(made, Inject(also=()), *[None] * 5)
    metadata.clear_model(made)
    assert made.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


def test_a_foreign_namespace_stays_and_is_not_ours() -> None:
    made = model()
    inject(made, Inject(also=("namespace", "layer_ann")))
    noted = metadata.props_of(made.graph.node[1])
    assert noted["namespace"] == "their/place"
    assert noted["layer_ann"] == "/Net/A/"
    assert metadata.props_of(made.graph.node[0])["namespace"] == "Net/A"
    inject(made, Inject(also=()))
    assert metadata.props_of(made.graph.node[1])["namespace"] == "their/place"
    assert "namespace" not in metadata.props_of(made.graph.node[0])


def test_a_foreign_entry_that_says_the_same_is_not_ours() -> None:
    made = model()
    metadata.add_entries(made.graph.node[0], [("namespace", "Net/A")])
    inject(made, Inject(also=("namespace",)))
    inject(made, Inject(also=("namespace",)))
    inject(made, Inject(also=()))
    assert metadata.props_of(made.graph.node[0])["namespace"] == "Net/A"


def test_the_doc_line() -> None:
    made = model()
    inject(made, Inject(also=("doc_string",)))
    assert [node.doc_string.split("\n")[-1] for node in made.graph.node] == ["onnx_tagger:a"] * 3
    assert made.graph.node[1].doc_string == "their text\nonnx_tagger:a"
    inject(made, Inject(also=()))
    assert [node.doc_string for node in made.graph.node] == ["", "their text", ""]
    assert [node.HasField("doc_string") for node in made.graph.node] == [False, True, True]


def test_model_keys() -> None:
    made = model()
    inject(made, Inject(also=("winml", "namespace"), map_digest="abc"))
    keys = [
        ("their key", "v"),
        (metadata.VERSION, version()),
        (metadata.MAP, "abc"),
        (metadata.ALSO, "namespace,winml"),
    ]
    assert [(entry.key, entry.value) for entry in made.metadata_props] == keys
    # What is not said anew stays.
    inject(made, Inject())
    assert [(entry.key, entry.value) for entry in made.metadata_props] == keys


def test_the_digest_is_that_of_the_map() -> None:
    made = model()
    inject(made, Inject(), tree=HierarchyMap(TREE.modules, digest="from the map"))
    assert metadata.model_value(made, metadata.MAP) == "from the map"
    inject(made, Inject(map_digest="told"), tree=HierarchyMap(TREE.modules, digest="from the map"))
    assert metadata.model_value(made, metadata.MAP) == "told"


def test_keys_stay_unique() -> None:
    made = model()
    metadata.add_entries(made.graph.node[0], [(metadata.TAG, "/Old"), (metadata.TAG, "/Older"), ("x", "1")])
    inject(made, Inject(also=tuple(DIALECTS)))
    keys = [key for key, _ in entries(made.graph.node[0])]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "x"


def test_unknown_dialects_are_refused() -> None:
    with pytest.raises(TaggerError, match="unknown dialect 'graphviz'"):
        inject(model(), Inject(also=("graphviz",)))


def test_changed_nodes_are_counted() -> None:
    made = model()
    inject(made, Inject())
    other = TREE.tag("b", Source.MATCHED)
    assert inject(made, Inject(), PLAIN, other, PLAIN, PLAIN, other) == 2


def test_a_value_of_another_tool_that_stays_is_told() -> None:
    tree = HierarchyMap.from_rows([ModuleRow("", "Net")])
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], []))
    model.graph.node[0].metadata_props.add(key="namespace", value="theirs")
    ctx = Context(model, tree)
    ctx.tags[ctx.ops[0]] = tree.tag("", Source.EXPORTED)
    for _ in range(2):
        PassManager([Inject(also=("namespace", "winml"))]).run_in(ctx)
    assert ctx.report.fallbacks == ["namespace: the value of another tool stays on 1 node"]


TORCHS = [
    ("namespace", ": net.Net/a: net.A/relu: aten.relu.default"),
    ("pkg.torch.onnx.class_hierarchy", "['net.Net', 'net.A', 'aten.relu.default']"),
    ("pkg.torch.onnx.name_scopes", "['', 'a', 'relu']"),
]


def torchs_model(*others: tuple[str, str]) -> onnx.ModelProto:
    made = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], []))
    metadata.add_entries(made.graph.node[0], [*others, *TORCHS])
    return made


def test_what_torch_wrote_gives_way_to_a_dialect_and_comes_back() -> None:
    made = torchs_model(("theirs", "1"))
    before = made.SerializeToString()
    for _ in range(2):
        inject(made, Inject(also=("namespace",)))
        assert entries(made.graph.node[0])[:2] == [("theirs", "1"), ("namespace", "Net/A")]
        assert metadata.props_of(made.graph.node[0])[metadata.REPLACED] == '{"namespace": "' + TORCHS[0][1] + '"}'
    inject(made, Inject())
    assert metadata.props_of(made.graph.node[0])["namespace"] == "Net/A", "what is not said anew stays"
    inject(made, Inject(also=()))
    metadata.clear_node(made.graph.node[0], ())
    metadata.clear_model(made)
    assert made.SerializeToString() == before


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "theirs"},
        {"namespace": ": net.Net/relu: aten.relu.default"},
        {"pkg.torch.onnx.class_hierarchy": "['net.Net']"},
        {"pkg.torch.onnx.name_scopes": "no list"},
    ],
)
def test_what_torch_did_not_write_stays(change: dict[str, str]) -> None:
    made = torchs_model()
    for entry in made.graph.node[0].metadata_props:
        entry.value = change.get(entry.key, entry.value)
    theirs = metadata.props_of(made.graph.node[0])["namespace"]
    inject(made, Inject(also=("namespace",)))
    assert metadata.props_of(made.graph.node[0])["namespace"] == theirs
    assert metadata.REPLACED not in metadata.props_of(made.graph.node[0])


def test_a_key_that_stands_twice_stays() -> None:
    made = torchs_model(("namespace", "another"))
    inject(made, Inject(also=("namespace",)))
    assert [value for key, value in entries(made.graph.node[0]) if key == "namespace"] == ["another", TORCHS[0][1]]


@pytest.mark.parametrize("text", ["", "[]", '{"namespace": 1}', '{"namespace": "\\ud800"}', "{" * 1000])
def test_a_broken_note_of_what_torch_wrote_restores_nothing(text: str) -> None:
    made = torchs_model()
    inject(made, Inject(also=("namespace",)))
    for entry in made.graph.node[0].metadata_props:
        entry.value = text if entry.key == metadata.REPLACED else entry.value
    metadata.clear_node(made.graph.node[0], ("namespace",))
    assert not any(key.startswith(metadata.PREFIX) for key, _ in entries(made.graph.node[0]))


def test_a_value_that_was_changed_since_stays() -> None:
    made = torchs_model()
    inject(made, Inject(also=("namespace",)))
    for entry in made.graph.node[0].metadata_props:
        entry.value = "mine" if entry.key == "namespace" else entry.value
    metadata.clear_node(made.graph.node[0], ("namespace",))
    assert entries(made.graph.node[0]) == [("namespace", "mine"), *TORCHS[1:]]


@pytest.mark.parametrize("dialects", [(), ("namespace",)])
def test_what_is_written_without_the_manager_s_knowledge_is_seen(dialects: tuple[str, ...]) -> None:
    """Else every key would stand there twice."""
    made = model()
    ctx = Context(made, TREE)
    ctx.tags.update(dict.fromkeys(ctx.ops, PLAIN))
    Inject(also=dialects).run(ctx)
    once = made.SerializeToString()
    Inject(also=dialects).run(ctx)
    assert made.SerializeToString() == once
