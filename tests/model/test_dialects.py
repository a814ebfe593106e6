"""What nodes say of their modules by the conventions of others, and the lists that torch writes as Python literals."""

from __future__ import annotations

import ast

import onnx
import pytest
from hypothesis import example, given, strategies as st

from onnx_tagger.model import metadata
from onnx_tagger.model.dialects import NO_MODULES, READABLE, Claim, claims
from onnx_tagger.model.literals import MAX_LITERAL, literal_list
from onnx_tagger.model.metadata import Source, Tag

pieces = st.sampled_from(["'", '"', ", ", ",", " ", "[", "]", "\\", "\n", "\0", "a", "b.0", "', '", "u'", "é", "#"])


def by_python(text: str) -> list[str] | None:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None


@given(st.lists(st.text(max_size=8), max_size=4))
@example(["", "model", "model.layers.0", "linear_3"])
def test_a_list_of_texts_reads_back(texts: list[str]) -> None:
    assert literal_list(repr(texts)) == texts


@given(st.lists(pieces, max_size=12).map("".join))
@example("a' 'b")
@example("a','b")
@example("a', 'b', ")
@example("a\\', 'b")
def test_what_is_no_plain_list_is_as_python_reads_it(inside: str) -> None:
    text = f"['{inside}']"
    # What Python joins of several texts no tool writes: it may be refused.
    assert literal_list(text) in ([by_python(text)] if not {"'", "\\"} & set(inside) else [by_python(text), None])


@pytest.mark.parametrize(
    "text",
    ["[" * 1000 + "]" * 1000, "[" * 60_000, "['a'," * 10_000, "[1]", "[9**9**9]", "['\\N{x}']", "[-" * 30_000, "[b'x']",
     "[" + "9" * 60_000 + "]", "['a', f'{1}']", "[{" * 5000, "[lambda: 0]", "[" + "1+" * 20_000 + "1]", "[...]",
     "['a' 'b']", "[__import__('os')]", "['a',,'b']", "['a'", "['" + "\\" * 60_001 + "']", "['\\x4']",
     "['a']" + " " * 65_536],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_what_is_no_flat_list_of_texts_is_not_evaluated(text: str) -> None:
    assert literal_list(text) is None


def test_a_flat_list_of_texts_reads_back() -> None:
    for items in ([], [""], ["", "a.b", "c"], ["it's", 'a "b"', "\\", "\n", "é", "\x00"], ["a" * 1000] * 30):
        assert literal_list(repr(items)) == items
    assert literal_list("[ 'a' , \"b\", ]") == ["a", "b"]


PLAIN = Tag("layers.0.attn", "/Net/Layer.0/Attn", Source.MATCHED)


def props(tag: Tag) -> dict[str, str]:
    return dict(metadata.own_entries(tag))


def noted(entries: dict[str, str], doc_string: str = "") -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Add", doc_string=doc_string)
    metadata.add_entries(node, list(entries.items()))
    return node


@pytest.mark.parametrize("dialect", metadata.DIALECTS)
def test_every_written_dialect_is_read(dialect: str) -> None:
    node = onnx.NodeProto(op_type="Add")
    metadata.write_node(node, PLAIN, (dialect,))
    (claim,) = claims(node)
    expected = Claim(dialect, module=PLAIN.module) if dialect == "doc_string" else Claim(dialect, tag=PLAIN.tag)
    assert claim == expected


def test_torch_s_keys() -> None:
    entries = {
        metadata.TORCH_SCOPES: "['', 'encoder', 'encoder.layers.0', 'add_1']",
        metadata.TORCH_CLASSES: "['__main__.Net', 'lib.Encoder', 'torch.nn.modules.linear.Linear', 'aten.add.Tensor']",
    }
    (claim,) = claims(noted(entries))
    assert claim == Claim(
        "torch",
        module="encoder.layers.0",
        stack=(("", "Net"), ("encoder", "Encoder"), ("encoder.layers.0", "Linear")),
    )


@pytest.mark.parametrize(
    ("scopes", "module"),
    [
        ("['', 'add']", ""),
        ("['_export_root', '_export_root.a', 'add']", "a"),
        ("['_export_root', 'add']", ""),
        ("['', '_export_rooted', 'add']", "_export_rooted"),
        ('["", "it\'s", "add"]', "it's"),
    ],
)
def test_torch_scope_names(scopes: str, module: str) -> None:
    (claim,) = claims(noted({metadata.TORCH_SCOPES: scopes}))
    assert claim.module == module


def test_torch_s_placeholder_is_no_module() -> None:
    """Torch writes it where a pass of its own made a node, as for the sizes of dynamic shapes."""
    only = {
        metadata.TORCH_SCOPES: f"['{NO_MODULES}', 'sym_size_int']",
        metadata.TORCH_CLASSES: f"['{NO_MODULES}', 'aten.sym_size.int']",
    }
    assert list(claims(noted(only))) == []
    below = {
        metadata.TORCH_SCOPES: f"['', 'a', '{NO_MODULES}', 'add']",
        metadata.TORCH_CLASSES: f"['lib.Net', 'lib.A', '{NO_MODULES}', 'aten.add.Tensor']",
    }
    assert list(claims(noted(below))) == [Claim("torch", module="a", stack=(("", "Net"), ("a", "A")))]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "[]",
        "['add']",
        "['', 1]",
        "{'a': 1}",
        "['a'",
        "[[['a']]]",
        "['a', __import__('os').getcwd()]",
        "[" * 5000 + "]" * 5000,
        "['" + "a" * MAX_LITERAL + "', 'add']",
        "['\x00', ",
        "[9" + "9" * 5000 + "]",
    ],
)
def test_torch_keys_that_are_no_list_of_text_say_nothing(text: str) -> None:
    assert list(claims(noted({metadata.TORCH_SCOPES: text}))) == []


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_no_value_of_any_key_makes_reading_raise(text: str) -> None:
    keys = [metadata.TORCH_SCOPES, metadata.TORCH_CLASSES, metadata.NAMESPACE, metadata.LAYER_ANN, metadata.WINML_TAG]
    own = [metadata.TAG, metadata.MODULE, metadata.SOURCE, metadata.ORIGINS, metadata.CALL]
    for shape in (text, f"[{text}", f"/{text}"):
        list(claims(noted(dict.fromkeys(keys, shape), doc_string=shape)))
        metadata.parse_own({**props(PLAIN), metadata.ORIGINS: shape, metadata.CALL: shape})
        metadata.parse_own(dict.fromkeys(own, shape))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (metadata.WINML_TAG, "Net/A"),
        (metadata.WINML_TAG, "//A"),
        (metadata.WINML_TAG, ""),
        (metadata.NAMESPACE, "__main__.Net: /encoder: lib.Encoder"),
        (metadata.NAMESPACE, ""),
        (metadata.LAYER_ANN, "gpu"),
        (metadata.LAYER_ANN, ""),
    ],
)
def test_values_of_others_are_no_claims(key: str, value: str) -> None:
    assert list(claims(noted({key: value}))) == []


def test_the_last_doc_line_counts() -> None:
    (claim,) = claims(noted({}, "text\nonnx_tagger:a\nonnx_tagger:b\nmore"))
    assert claim == Claim("doc_string", module="b")


def test_claims_come_in_the_order_in_which_they_are_believed() -> None:
    node = noted({metadata.TORCH_SCOPES: "['', 'add']"})
    metadata.write_node(node, PLAIN, tuple(metadata.DIALECTS))
    assert [claim.carrier for claim in claims(node)] == list(READABLE)
    assert [claim.carrier for claim in claims(node, ("doc_string", "winml"))] == ["doc_string", "winml"]
