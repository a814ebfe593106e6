"""The map in memory: what it refuses, chains, what encloses what, and the tags that it makes."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.naming import ModuleRow, parent_path
from onnx_tagger.model.metadata import Source

ROOT = Module("", "Net", "/Net")


@pytest.fixture(name="tree")
def small_tree() -> HierarchyMap:
    """Net with an encoder of two layers in a ModuleList."""
    rows = [
        ModuleRow("", "Net"),
        ModuleRow("enc", "Encoder"),
        ModuleRow("enc.layers", "ModuleList", tagged=False, keyed=True),
        ModuleRow("enc.layers.0", "Layer"),
        ModuleRow("enc.layers.0.lin", "Linear"),
        ModuleRow("enc.layers.1", "Layer"),
        ModuleRow("head", "Linear"),
    ]
    return HierarchyMap.from_rows(rows)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ((), "no root module"),
        ((Module("a", "A", "/Net/A", ""),), "no root module"),
        ((ROOT, ROOT), "two modules by one path"),
        ((ROOT, Module("a", "A", "/Net/A", ""), Module("b", "A", "/Net/A", "")), "two modules one tag"),
        ((ROOT, Module("a", "A", "/Net/A", "x")), "'a' has the parent 'x', which it does not list"),
        ((ROOT, Module("a", "A", "/Net/A", None)), "'a' has the parent None, which it does not list"),
        ((ROOT, Module("a", "A", "/Net/A", "a")), "'a' does not lie in its parent 'a'"),
        ((ROOT, Module("a", "A", "/Net/A", "b"), Module("b", "B", "/Net/B", "a")), "does not lie in its parent"),
        ((ROOT, Module("a", "A", "/Net/A", ""), Module("b", "B", "/Net/B", "a")), "does not lie in its parent"),
        ((ROOT, Module("a", "A", "/Net/A", ""), Module("ab", "B", "/Net/B", "a")), "'ab' does not lie in"),
    ],
)
def test_inconsistent_maps_are_refused(modules: tuple[Module, ...], message: str) -> None:
    with pytest.raises(MapError, match=message):
        HierarchyMap(modules)


def test_two_modules_without_a_tag_are_no_clash() -> None:
    HierarchyMap((ROOT, Module("a", "ModuleList", None, ""), Module("b", "ModuleList", None, "")))


def test_chain_leaves_out_what_has_no_tag(tree: HierarchyMap) -> None:
    assert tree.chain("enc.layers.0.lin") == ("", "enc", "enc.layers.0", "enc.layers.0.lin")
    assert tree.chain("enc.layers") == ("", "enc")
    assert tree.chain("") == ("",)


@pytest.mark.parametrize(
    ("paths", "module"),
    [
        ([], ""),
        (["enc.layers.0.lin"], "enc.layers.0.lin"),
        (["enc.layers"], "enc"),
        (["enc.layers.0.lin", "enc.layers.0"], "enc.layers.0"),
        (["enc.layers.0", "enc.layers.0.lin"], "enc.layers.0"),
        (["enc.layers.0.lin", "enc.layers.1"], "enc"),
        (["enc.layers.0.lin", "enc.layers.1", "head"], ""),
        (["head", ""], ""),
    ],
)
def test_enclosing(tree: HierarchyMap, paths: list[str], module: str) -> None:
    assert tree.enclosing(paths) == module


def test_encloses(tree: HierarchyMap) -> None:
    assert tree.encloses("", "head")
    assert tree.encloses("enc", "enc.layers.0.lin")
    assert tree.encloses("enc", "enc")
    assert not tree.encloses("enc.layers.0", "enc.layers.1")
    assert not tree.encloses("enc.layers.0", "enc")


@st.composite
def random_trees(draw: st.DrawFn) -> HierarchyMap:
    paths = [""]
    rows = [ModuleRow("", "Net")]
    for index in range(draw(st.integers(0, 12))):
        above = draw(st.sampled_from(paths))
        paths.append(f"{above}.m{index}" if above else f"m{index}")
        rows.append(ModuleRow(paths[-1], "M", tagged=draw(st.booleans())))
    return HierarchyMap.from_rows(rows)


@given(random_trees(), st.data())
def test_enclosing_is_the_innermost_common_ancestor(tree: HierarchyMap, data: st.DataObject) -> None:
    paths = data.draw(st.lists(st.sampled_from(sorted(tree.by_path)), min_size=1, max_size=5))

    def ancestors(path: str) -> set[str]:
        found = {path}
        while path:
            path = parent_path(path)
            found.add(path)
        return {one for one in found if tree.by_path[one].tag is not None}

    common = set.intersection(*map(ancestors, paths))
    assert tree.enclosing(paths) == max(common, key=lambda path: (bool(path), path.count(".")))


def test_resolve_knows_aliases_and_the_path_wins() -> None:
    tree = HierarchyMap((ROOT, Module("a", "A", "/Net/A", "", aliases=("b", "c")), Module("b", "B", "/Net/B", "")))
    found = {name: module.path for name in "abcd" if (module := tree.resolve(name)) is not None}
    assert found == {"a": "a", "b": "b", "c": "a"}


def test_tag_of_a_module(tree: HierarchyMap) -> None:
    tag = tree.tag("enc", Source.ALIGNED, ["head", "enc", "head"], ("enc@1",))
    assert (tag.module, tag.tag, tag.source) == ("enc", "/Net/Encoder", Source.ALIGNED)
    assert (tag.origins, tag.call) == (("enc", "head"), ("enc@1",))
    assert tree.tag("enc", Source.ALIGNED, ["head"]).origins == ()


def test_an_inherited_root_has_the_source_root(tree: HierarchyMap) -> None:
    assert tree.tag("", Source.INHERITED).source is Source.ROOT
    assert tree.tag("", Source.EXPORTED).source is Source.EXPORTED
    assert tree.tag("enc", Source.INHERITED).source is Source.INHERITED


@pytest.mark.parametrize("path", ["enc.layers", "nowhere"])
def test_no_tag_for_what_has_none(tree: HierarchyMap, path: str) -> None:
    with pytest.raises(MapError, match=f"no module '{path}' that a node could be tagged with"):
        tree.tag(path, Source.MATCHED)


def test_from_rows_skips_gaps() -> None:
    tree = HierarchyMap.from_rows([ModuleRow("a.list.0", "Blk"), ModuleRow("a", "A"), ModuleRow("", "Net")])
    root = tree.modules[0]
    assert (root.path, root.parent, root.tag) == ("", None, "/Net")
    assert tree.by_path["a.list.0"].parent == "a"
    assert tree.by_path["a.list.0"].tag == "/Net/A/Blk.0"
    assert tree.by_tag["/Net/A/Blk.0"].path == "a.list.0"
