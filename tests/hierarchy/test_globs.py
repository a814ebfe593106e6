"""Choosing modules by a pattern: what stays inside a part, what crosses, classes, tags, and what is wrong."""

import re
from itertools import product

import pytest
from hypothesis import given, strategies as st

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.globs import select, under
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree

ROWS = [ModuleRow("", "Net"), ModuleRow("enc", "Enc"), ModuleRow("enc.layer", "ModuleList", tagged=False, keyed=True)]
for number in ("0", "1", "10"):
    ROWS += [
        ModuleRow(f"enc.layer.{number}", "Layer"),
        ModuleRow(f"enc.layer.{number}.attn", "Attn"),
        ModuleRow(f"enc.layer.{number}.attn.q", "Linear"),
        ModuleRow(f"enc.layer.{number}.mlp", "Mlp"),
    ]
ROWS += [ModuleRow("head", "Linear")]
TREE = ModuleTree(HierarchyMap.from_rows(ROWS))


def paths(pattern: str, tree: ModuleTree = TREE) -> list[str]:
    return [module.path for module in select(tree, pattern)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("enc.layer.0", ["enc.layer.0"]),
        ("enc.layer", ["enc.layer"]),
        ("", [""]),
        ("(root)", [""]),
        ("/Net/Enc/Layer.1", ["enc.layer.1"]),
        ("enc.layer.*", ["enc.layer.0", "enc.layer.1", "enc.layer.10"]),
        ("enc.layer.?", ["enc.layer.0", "enc.layer.1"]),
        ("enc.layer.[01]", ["enc.layer.0", "enc.layer.1"]),
        ("enc.layer.1*", ["enc.layer.1", "enc.layer.10"]),
        ("enc.layer.*.attn", ["enc.layer.0.attn", "enc.layer.1.attn", "enc.layer.10.attn"]),
        ("enc.*", ["enc.layer"]),
        ("*", ["enc", "head"]),
        ("**.q", ["enc.layer.0.attn.q", "enc.layer.1.attn.q", "enc.layer.10.attn.q"]),
        ("enc.layer.1.**", ["enc.layer.1", "enc.layer.1.attn", "enc.layer.1.attn.q", "enc.layer.1.mlp"]),
        ("enc.layer.1.**.q", ["enc.layer.1.attn.q"]),
        ("<Attn>", ["enc.layer.0.attn", "enc.layer.1.attn", "enc.layer.10.attn"]),
        ("<M*p>", ["enc.layer.0.mlp", "enc.layer.1.mlp", "enc.layer.10.mlp"]),
        ("<Layer>.attn", ["enc.layer.0.attn", "enc.layer.1.attn", "enc.layer.10.attn"]),
        ("<Layer>.<Attn>.q", ["enc.layer.0.attn.q", "enc.layer.1.attn.q", "enc.layer.10.attn.q"]),
        ("enc.layer.0.<*>", ["enc.layer.0.attn", "enc.layer.0.mlp"]),
        ("enc.**.<Linear>", ["enc.layer.0.attn.q", "enc.layer.1.attn.q", "enc.layer.10.attn.q"]),
        ("<Net>", [""]),
        ("<ModuleList>", ["enc.layer"]),
        ("/Net/Enc/Layer.*", ["enc.layer.0", "enc.layer.1", "enc.layer.10"]),
        ("/Net/*", ["enc", "head"]),
        ("/**/Attn", ["enc.layer.0.attn", "enc.layer.1.attn", "enc.layer.10.attn"]),
    ],
)
def test_patterns(pattern: str, found: list[str]) -> None:
    assert sorted(paths(pattern)) == sorted(found)


TREE_PATHS = [module.path for module in TREE]


def test_a_class_with_all_below() -> None:
    inside = paths("<Layer>.**")
    assert len(inside) == 12
    assert set(inside) == {path for path in TREE_PATHS if path.startswith("enc.layer.")}


def test_what_is_found_comes_in_the_order_of_the_tree() -> None:
    assert paths("**") == TREE_PATHS


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("enc.layer.2", r"no module has the path or tag 'enc\.layer\.2': did you mean 'enc\.layer"),
        ("enc.layer.2.*", r"no module matches 'enc\.layer\.2\.\*': \* stays inside one part"),
        ("<Atn>", r"no class is named 'Atn', did you mean 'Attn'\?"),
        ("enc.<Attn", r"the module pattern 'enc\.<Attn' cannot be read"),
        ("/Net/Attn/*", "no module matches '/Net/Attn/"),
    ],
)
def test_a_pattern_that_names_nothing_is_an_error(pattern: str, said: str) -> None:
    with pytest.raises(TaggerError, match=said):
        select(TREE, pattern)


def test_under_holds_all_below() -> None:
    assert under(TREE, "enc.layer.0") == {"enc.layer.0", "enc.layer.0.attn", "enc.layer.0.attn.q", "enc.layer.0.mlp"}
    assert under(TREE, ["head", "<Mlp>"]) == {"head", "enc.layer.0.mlp", "enc.layer.1.mlp", "enc.layer.10.mlp"}
    with pytest.raises(TaggerError, match="'nobody'"):
        under(TREE, ["head", "nobody"])


def test_a_level_without_a_path_is_known_by_its_class() -> None:
    modules = (Module("", "Net", "/Net", None), Module("a.b.0", "Blk", "/Net/Enc/Blk.0", ""))
    tree = ModuleTree(HierarchyMap(modules))
    assert paths("<Enc>", tree) == ["/Net/Enc"]
    assert set(paths("<Enc>.**", tree)) == {"/Net/Enc", "a.b.0"}
    assert paths("a.*.0", tree) == ["a.b.0"]
    assert under(tree, "/Net/Enc") == {"/Net/Enc", "a.b.0"}


def test_a_name_with_wildcards_is_first_taken_as_it_is() -> None:
    tree = ModuleTree(HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a*", "A"), ModuleRow("ab", "A")]))
    assert paths("a*", tree) == ["a*"]
    assert paths("a?", tree) == ["a*", "ab"]


PARTS = st.lists(st.sampled_from(["a", "b", "*", "**", "?"]), min_size=1, max_size=5)


@given(PARTS)
def test_wildcards_agree_with_a_regular_expression(parts: list[str]) -> None:
    names = [".".join(chosen) for length in range(5) for chosen in product("ab", repeat=length)]
    tree = ModuleTree(HierarchyMap.from_rows([ModuleRow(name, "M") for name in names]))
    pattern = ".".join(parts)
    # Every part of a path carries its dot, so that "**" may stand for none.
    meaning = {"*": r"[^.]+\.", "?": r"[^.]\.", "**": r"(?:[^.]+\.)*"}
    expression = "".join(meaning.get(part, rf"{part}\.") for part in parts)
    expected = [m.path for m in tree if re.fullmatch(expression, f"{m.path}." if m.path else "")]
    try:
        assert paths(pattern, tree) == expected
    except TaggerError:
        assert expected == []
