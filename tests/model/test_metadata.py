"""Keys and values of node metadata: written, read back, cleared; what torch and the dialects say; malformed values."""

from __future__ import annotations

import json

import onnx
import pytest
from hypothesis import given, strategies as st

from onnx_tagger.errors import TaggerError
from onnx_tagger.model import metadata
from onnx_tagger.model.dialects import READABLE, claims
from onnx_tagger.model.literals import string_list
from onnx_tagger.model.metadata import Source, Tag

PLAIN = Tag("layers.0.attn", "/Net/Layer.0/Attn", Source.MATCHED)
FUSED = Tag("a", "/Net/A", Source.ALIGNED, ("a.x", "a.y"), ("a@0", "a@1"))

names = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=6)


def props(tag: Tag) -> dict[str, str]:
    return dict(metadata.own_entries(tag))


def noted(entries: dict[str, str], doc_string: str = "") -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Add", doc_string=doc_string)
    metadata.add_entries(node, list(entries.items()))
    return node


def test_keys_are_the_documented_ones() -> None:
    assert metadata.own_entries(PLAIN) == [
        ("pkg.onnx_tagger.tag", "/Net/Layer.0/Attn"),
        ("pkg.onnx_tagger.module", "layers.0.attn"),
        ("pkg.onnx_tagger.source", "matched"),
    ]
    assert metadata.own_entries(FUSED)[3:] == [
        ("pkg.onnx_tagger.origins", '["a.x", "a.y"]'),
        ("pkg.onnx_tagger.call", '["a@0", "a@1"]'),
    ]
    single = Tag("a", "/Net/A", Source.EXPORTED, call=("a@3",))
    assert props(single)["pkg.onnx_tagger.call"] == "a@3"


@pytest.mark.parametrize("tag", [PLAIN, FUSED, Tag("", "/Net", Source.ROOT), Tag("", "/Net", Source.EXPORTED)])
def test_own_tag_reads_what_own_entries_write(tag: Tag) -> None:
    assert metadata.own_tag(props(tag)) == tag


@given(st.lists(names, min_size=2, max_size=4, unique=True), st.lists(names, min_size=1, max_size=3))
def test_origins_and_calls_of_any_text_come_back(origins: list[str], calls: list[str]) -> None:
    tag = Tag("a", "/Net/A", Source.ALIGNED, tuple(sorted(origins)), tuple(calls))
    # One call is written as it is, so a path that looks like a JSON list of strings cannot be told from a list.
    if len(calls) == 1 and string_list(calls[0]) is not None:
        return
    assert metadata.own_tag(props(tag)) == tag


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({metadata.MODULE: None}, "has no pkg.onnx_tagger.module"),
        ({metadata.SOURCE: None}, "has no pkg.onnx_tagger.source"),
        ({metadata.SOURCE: "guessed"}, "has the unknown pkg.onnx_tagger.source 'guessed'"),
        ({metadata.TAG: "x"}, "has the tag 'x', which does not fit its module 'layers.0.attn'"),
        ({metadata.TAG: "/Net/Layer.1/Attn"}, "does not fit its module"),
        ({metadata.MODULE: ""}, "does not fit its module ''"),
        ({metadata.SOURCE: "root"}, "has source 'root' but the module 'layers.0.attn'"),
        ({metadata.ORIGINS: "[]"}, "no JSON list of two or more"),
        ({metadata.ORIGINS: '["a"]'}, "no JSON list of two or more"),
        ({metadata.ORIGINS: '["a", "a"]'}, "no JSON list of two or more"),
        ({metadata.ORIGINS: "layers.0"}, "no JSON list of two or more"),
        ({metadata.ORIGINS: '["a", 1]'}, "no JSON list of two or more"),
        ({metadata.ORIGINS: "[" * 100_000}, "no JSON list of two or more"),
    ],
)
def test_malformed_own_keys_are_told(change: dict[str, str | None], phrase: str) -> None:
    changed = {key: value for key, value in {**props(PLAIN), **change}.items() if value is not None}
    tag, problem = metadata.parse_own(changed)
    assert tag is None
    assert phrase in problem
    assert metadata.own_tag(changed) is None


def test_no_own_keys_are_no_tag() -> None:
    assert metadata.own_tag({}) is None
    assert metadata.own_tag({"namespace": "Net/A"}) is None
    assert metadata.parse_own({metadata.MODULE: "a"}) == (None, "has no pkg.onnx_tagger.tag")


@pytest.mark.parametrize(
    ("tag", "module", "holds"),
    [
        ("/Net", "", True),
        ("/Net", "a", False),
        ("/Net.a", "", False),
        ("Net", "", False),
        ("", "", False),
        ("/", "", False),
        ("//A", "a", False),
        ("/Net/A", "", False),
        ("/Net/A", "a", True),
        ("/Net/A", "a.0", True),
        ("/Net/A.0", "a.0", True),
        ("/Net/A.0", "a.1", False),
        ("/Net/A.a.0", "a.0", True),
        ("/Net/A.b.a.0", "a.0", False),
        ("/Net/A/B", "a", False),
        ("/Net/A/B.x", "x", False),
        ("/Net/A.x/B.x", "x.x", True),
        ("/Net/A.x/B", "x.y.z", True),
        ("/Net/A.y/B", "x.y.z", True),
        ("/Net/A.z/B", "x.y.z", False),
        ("/Net/A.a%2Fb", "a/b", True),
        ("/Net/A.a%25", "a%", True),
        ("/Net/A.a%", "a%", False),
    ],
)
def test_fits(tag: str, module: str, holds: bool) -> None:
    assert metadata.fits(tag, module) is holds


def test_dialects_say_what_the_design_says() -> None:
    assert metadata.dialect_entries(PLAIN, metadata.DIALECTS) == [
        ("namespace", "Net/Layer.0/Attn"),
        ("layer_ann", "/Net/Layer.0/Attn/"),
        ("winml.hierarchy.tag", "/Net/Layer.0/Attn"),
        ("winml.hierarchy.depth", "3"),
    ]
    assert metadata.doc_line(PLAIN) == "onnx_tagger:layers.0.attn"


def test_check_dialects() -> None:
    assert metadata.check_dialects(["doc_string", "winml", "winml"]) == ("winml", "doc_string")
    with pytest.raises(TaggerError, match="unknown dialect 'graphviz': choose from namespace, layer_ann, winml"):
        metadata.check_dialects(["graphviz"])
    with pytest.raises(TaggerError, match="unknown dialect 'torch'"):
        metadata.check_dialects(["torch"])
    assert metadata.check_dialects(["torch"], READABLE) == ("torch",)


def test_foreign_entries_stay_in_place_and_win() -> None:
    node = noted({"namespace": "theirs", "other": "1"})
    before = node.SerializeToString()
    metadata.write_node(node, PLAIN, ("namespace", "winml"))
    assert [entry.key for entry in node.metadata_props] == [
        "namespace",
        "other",
        metadata.TAG,
        metadata.MODULE,
        metadata.SOURCE,
        metadata.WINML_TAG,
        metadata.WINML_DEPTH,
    ]
    assert metadata.props_of(node)["namespace"] == "theirs"
    assert metadata.clear_node(node, ("namespace", "winml"))
    assert node.SerializeToString() == before
    assert not metadata.clear_node(node, ("namespace", "winml"))


def test_a_foreign_entry_that_says_the_same_stays() -> None:
    node = noted({"namespace": "Net/Layer.0/Attn"})
    before = node.SerializeToString()
    metadata.write_node(node, PLAIN, ("namespace",))
    metadata.clear_node(node, ("namespace",))
    assert node.SerializeToString() == before


def test_entries_in_another_order_are_still_ours() -> None:
    """Tools keep metadata in a dict and write it sorted."""
    node = noted({"b": "1"})
    metadata.write_node(node, PLAIN, ("namespace", "layer_ann", "winml"))
    entries = sorted((entry.key, entry.value) for entry in node.metadata_props)
    del node.metadata_props[:]
    metadata.add_entries(node, entries)
    metadata.clear_node(node, ("namespace", "layer_ann", "winml"))
    assert metadata.props_of(node) == {"b": "1"}


def test_a_foreign_entry_that_says_the_same_stays_in_any_order() -> None:
    node = noted({"namespace": "Net/Layer.0/Attn", "layer_ann": "gpu"})
    metadata.write_node(node, PLAIN, ("namespace", "layer_ann"))
    entries = sorted(((entry.key, entry.value) for entry in node.metadata_props), reverse=True)
    del node.metadata_props[:]
    metadata.add_entries(node, entries)
    metadata.clear_node(node, ("namespace", "layer_ann"))
    assert metadata.props_of(node) == {"namespace": "Net/Layer.0/Attn", "layer_ann": "gpu"}


def test_entries_added_behind_ours_stay() -> None:
    node = noted({})
    metadata.write_node(node, PLAIN, ("namespace",))
    metadata.add_entries(node, [("later", "1"), ("namespace", "theirs")])
    metadata.clear_node(node, ("namespace",))
    assert [(entry.key, entry.value) for entry in node.metadata_props] == [("later", "1"), ("namespace", "theirs")]


@pytest.mark.parametrize("text", [None, "", "text", "text\n", "\n", "two\nlines", "\n\nodd\n"])
def test_doc_line_is_added_and_removed_exactly(text: str | None) -> None:
    node = onnx.NodeProto(op_type="Add")
    if text is not None:
        node.doc_string = text
    before = node.SerializeToString()
    metadata.write_node(node, PLAIN, ("doc_string",))
    assert node.doc_string.split("\n")[-1] == "onnx_tagger:layers.0.attn"
    metadata.clear_node(node, ("doc_string",))
    assert node.SerializeToString() == before


def test_remove_key() -> None:
    node = noted({"a": "1", "b": "2"})
    node.metadata_props.add(key="a", value="3")
    assert metadata.remove_key(node, "a")
    assert metadata.props_of(node) == {"b": "2"}
    assert not metadata.remove_key(node, "a")


def test_model_keys() -> None:
    model = onnx.ModelProto()
    metadata.add_entries(model, [("theirs", "1")])
    before = model.SerializeToString()
    metadata.write_model(model, "0.1", "abc", ("winml", "doc_string"))
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [
        ("theirs", "1"),
        ("pkg.onnx_tagger.version", "0.1"),
        ("pkg.onnx_tagger.map", "abc"),
        ("pkg.onnx_tagger.also", "winml,doc_string"),
    ]
    assert metadata.also_of(model) == ("winml", "doc_string")
    assert metadata.model_value(model, metadata.MAP) == "abc"
    metadata.clear_model(model)
    assert model.SerializeToString() == before
    assert metadata.also_of(model) == ()
    metadata.write_model(model, "0.1", "", ())
    assert [entry.key for entry in model.metadata_props] == ["theirs", "pkg.onnx_tagger.version"]


def test_unknown_names_in_also_are_left_out() -> None:
    model = onnx.ModelProto()
    metadata.add_entries(model, [(metadata.ALSO, "winml,graphviz,")])
    assert metadata.also_of(model) == ("winml",)


def test_sources_are_ordered_best_first() -> None:
    assert [source.label for source in sorted(Source)] == [
        "exported",
        "matched",
        "aligned",
        "named",
        "inherited",
        "root",
    ]
    assert PLAIN.worse(Source.EXPORTED) is PLAIN
    assert PLAIN.worse(Source.INHERITED).source is Source.INHERITED


def test_modules_of_a_tag() -> None:
    assert PLAIN.modules == ("layers.0.attn",)
    assert FUSED.modules == ("a.x", "a.y")


def test_origins_are_json() -> None:
    odd = Tag("a", "/Net/A", Source.ALIGNED, ('"', "é"))
    assert json.loads(props(odd)[metadata.ORIGINS]) == ['"', "é"]


def not_utf8(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the byte 0xff wherever a text says QQQQ."""
    return onnx.ModelProto.FromString(model.SerializeToString().replace(b"QQQQ", b"Q\xffQQ"))


def test_metadata_that_is_not_utf8_stays_and_is_read_around() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], doc_string="QQQQ\nonnx_tagger:not ours")
    node.metadata_props.add(key="QQQQ", value="a")
    node.metadata_props.add(key="b", value="QQQQ")
    model = not_utf8(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [])))
    node = model.graph.node[0]
    before = node.SerializeToString()
    assert metadata.props_of(node) == {r"Q\xffQQ": "a", "b": r"Q\xffQQ"}
    assert [claim.module for claim in claims(node)] == ["not ours"]
    metadata.write_node(node, Tag("enc", "/Net/Enc", Source.EXPORTED), ("namespace", "doc_string"))
    assert metadata.own_tag(metadata.props_of(node)) == Tag("enc", "/Net/Enc", Source.EXPORTED)
    assert metadata.clear_node(node, ("namespace", "doc_string"))
    assert node.SerializeToString() == before
    assert metadata.remove_key(node, "b")
    assert len(node.metadata_props) == 1


def test_own_keys_that_are_not_utf8() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    metadata.write_node(node, Tag("QQQQ", "/Net/QQQQ", Source.EXPORTED), ())
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
    model.metadata_props.add(key="pkg.onnx_tagger.also", value="QQQQ,winml")
    model = not_utf8(model)
    assert metadata.also_of(model) == ("winml",)
    assert metadata.clear_node(model.graph.node[0], metadata.also_of(model))
    metadata.clear_model(model)
    assert (len(model.graph.node[0].metadata_props), len(model.metadata_props)) == (0, 0)
