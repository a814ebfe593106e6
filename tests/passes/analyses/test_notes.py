"""What is noted on nodes, read once: it says of each node what reading all of its entries says."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import helper

from onnx_tagger.hierarchy.carriers import resolve_claim
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.dialects import claim_of_modules, claims, modules_in
from onnx_tagger.model.literals import MAX_LITERAL, literal_list
from onnx_tagger.model.metadata import DOC_LINE, MODULE, SOURCE, TAG, TORCH_SCOPES, Source, Tag, own_tag, props_of
from onnx_tagger.passes.analyses.notes import FOREIGN, NOTHING, OWN, SILENT, NodeNotes
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.match import Match

TREE = HierarchyMap.from_rows(
    [ModuleRow("", "Net"), ModuleRow("a", "Blk"), ModuleRow("a.b", "Linear"), ModuleRow("c", "Blk")]
)

ENTRIES = [
    (TORCH_SCOPES, "['', 'a', 'linear']"),
    (TORCH_SCOPES, "['', 'a', 'a.b', 'add_1']"),
    (TORCH_SCOPES, "['_export_root', '_export_root.c', 'x']"),
    (TORCH_SCOPES, "['', 'elsewhere', 'x']"),
    (TORCH_SCOPES, "['x']"),
    (TORCH_SCOPES, "[\"\", 'c', 'x']"),
    (TORCH_SCOPES, "['', 'c', 'x.y']"),
    (TORCH_SCOPES, "['', 'c', 'x'] "),
    (TORCH_SCOPES, ""),
    ("pkg.torch.onnx.stack_trace", "File x"),
    ("namespace", ": Net/a: Blk/linear: aten"),
    ("namespace", "Net/Blk.c"),
    ("namespace", "Net/No"),
    ("layer_ann", "/Net/Blk.a/"),
    ("winml.hierarchy.tag", "/Net/Blk.c"),
    ("winml.hierarchy.tag", "x"),
    (TAG, "/Net/Blk.a"),
    (MODULE, "a"),
    (SOURCE, "exported"),
    ("pkg.onnx_tagger.else", "1"),
]


def context(*nodes: onnx.NodeProto) -> Context:
    return Context(helper.make_model(helper.make_graph(nodes, "g", [], [])), TREE)


def noted(entries: list[tuple[str, str]], doc: str = "") -> onnx.NodeProto:
    node = helper.make_node("Neg", ["x"], ["y"], doc_string=doc or None)
    for key, value in entries:
        node.metadata_props.add(key=key, value=value)
    return node


def said(node: onnx.NodeProto) -> Tag | None:
    """What a node says, each of its entries read for it alone."""
    tag = own_tag(props_of(node))
    if tag is not None:
        return tag
    for claim in claims(node):
        path = resolve_claim(claim, TREE)
        if path is not None:
            return TREE.tag(path, Source.EXPORTED if claim.carrier == "torch" else Source.MATCHED)
    return None


node_like = st.builds(
    noted,
    st.lists(st.sampled_from(ENTRIES), max_size=6),
    st.sampled_from(["", "text", f"{DOC_LINE}a.b", f"text\n{DOC_LINE}c", f"{DOC_LINE}else"]),
)


@settings(max_examples=300)
@given(st.lists(node_like, min_size=1, max_size=4))
def test_nodes_say_together_what_each_says_alone(nodes: list[onnx.NodeProto]) -> None:
    ctx = context(*nodes)
    Match(saved=False).run(ctx)
    assert [ctx.tags.get(op) for op in ctx.ops] == [said(op.node) for op in ctx.ops]


@pytest.mark.parametrize(
    ("entries", "doc", "kind"),
    [
        ([], "", NOTHING),
        ([("k", "v")], "", SILENT),
        ([], "text", SILENT),
        ([("namespace", "a: B/c: D")], "", SILENT),
        ([("namespace", "Net/Blk")], "", FOREIGN),
        ([("layer_ann", "/Net/"), ("k", "v")], "text", FOREIGN),
        ([("winml.hierarchy.tag", "/Net")], "", FOREIGN),
        ([("pkg.onnx_tagger.x", "")], "", OWN),
        ([("layer_ann", "/Net/")], f"{DOC_LINE}a", OWN),
        ([("pkg.onnx_tagger.x", ""), ("layer_ann", "/Net/")], "text", OWN),
    ],
)
def test_kinds(entries: list[tuple[str, str]], doc: str, kind: int) -> None:
    assert list(context(noted(entries, doc)).get(NodeNotes).kinds) == [kind]


def test_of_more_keys_than_are_remembered_each_is_looked_at() -> None:
    nodes = [noted([(f"k{number}", "")]) for number in range(300)]
    nodes += [noted([(f"pkg.onnx_tagger.{number}", "")]) for number in range(300)]
    assert list(context(*nodes).get(NodeNotes).kinds) == [SILENT] * 300 + [OWN] * 300


def test_text_that_is_no_utf_8_is_no_scope() -> None:
    broken = onnx.NodeProto.FromString(
        noted([(TORCH_SCOPES, "['', 'a', 'XX']"), ("pkg.onnx_tagger.YY", "")])
        .SerializeToString()
        .replace(b"XX", b"\xff\xff")
        .replace(b"YY", b"\xff\xff")
    )
    notes = context(broken).get(NodeNotes)
    assert (list(notes.kinds), notes.modules) == ([OWN], {})


pieces = st.sampled_from(["['", "']", "', '", '"', "'", "a", "a.b", "\\", "x_1", " ", "[", "]", ", ", "\n"])


@settings(max_examples=1000)
@given(st.lists(pieces, max_size=9).map("".join) | st.text(max_size=20))
def test_the_beginning_of_a_list_says_what_the_list_says(text: str) -> None:
    before = modules_in(text)
    if before is not None:
        node = noted([(TORCH_SCOPES, text)])
        assert claim_of_modules(before) == next(claims(node, ["torch"]), None)


def test_a_list_that_is_too_long_is_read_as_a_whole() -> None:
    long = f"['{'x' * MAX_LITERAL}', 'y']"
    assert literal_list(long) is None
    assert modules_in(long) is None


def test_more_text_than_is_held_is_read_node_by_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_tagger.passes.analyses.notes._MOST_TEXT", 12)
    nodes = [noted([(TORCH_SCOPES, f"['', '{path}', 'x']")]) for path in ("a", "a.b", "a", "c")]
    ctx = context(*nodes)
    assert len(set(ctx.get(NodeNotes).modules.values())) == 1
    Match(saved=False).run(ctx)
    assert [ctx.tags[op].module for op in ctx.ops] == ["a", "a.b", "a", "c"]


def test_a_node_that_was_written_on_since_is_looked_at_again() -> None:
    ctx = context(noted([("k", "v")]), noted([]))
    notes = ctx.get(NodeNotes)
    for op in ctx.ops:
        op.node.metadata_props.add(key=TAG, value="/Net")
    assert [notes.kind(op) for op in ctx.ops] == [OWN, OWN]
