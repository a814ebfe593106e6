"""The linked module tree: parents, containers and levels that a file does not list, and the order of first calls."""

import pytest

from onnx_tagger.errors import FileFormatError
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree, shown_path
from onnx_tagger.model.limits import limited, limits_of_texts

ROWS = [
    ModuleRow("", "Net"),
    ModuleRow("layers", "ModuleList", tagged=False, keyed=True),
    ModuleRow("layers.0", "Blk"),
    ModuleRow("layers.0.fc", "Linear"),
    ModuleRow("layers.1", "Blk"),
    ModuleRow("head", "Linear"),
]


def outline(tree: ModuleTree) -> list[tuple[int, str]]:
    """Depth and path of each module, depth first."""
    depths = {"": 0}
    found = []
    for module in tree.root.below():
        if module.parent is not None:
            depths[module.path] = depths[module.parent.path] + 1
        found.append((depths[module.path], module.path))
    return found


def test_modules_are_linked() -> None:
    tree = ModuleTree(HierarchyMap.from_rows(ROWS))
    block = tree["layers.0"]
    assert (block.cls, block.tag, block.calls) == ("Blk", "/Net/Blk.0", 0)
    assert block.parent is tree["layers"]
    assert [child.path for child in block.children] == ["layers.0.fc"]
    assert [child.path for child in tree.root.children] == ["layers", "head"]
    assert tree.root.parent is None
    assert len(tree) == 6


def test_a_module_is_found_by_path_alias_and_tag() -> None:
    modules = (Module("", "Net", "/Net", None), Module("a", "A", "/Net/A", "", aliases=("tied", "also.tied")))
    tree = ModuleTree(HierarchyMap(modules))
    assert tree["a"] is tree["tied"] is tree["also.tied"] is tree["/Net/A"] is tree["/Net/A/"]
    assert "tied" in tree
    assert "b" not in tree
    assert 3 not in tree


def test_an_unknown_module_is_answered_with_the_nearest() -> None:
    tree = ModuleTree(HierarchyMap.from_rows(ROWS))
    with pytest.raises(KeyError, match=r"no module has the path or tag 'layer\.0\.fc': did you mean 'layers\.0\.fc'"):
        tree["layer.0.fc"]


def test_modules_come_in_the_order_of_their_first_call() -> None:
    modules = (
        Module("", "Net", "/Net", None, 0, 1),
        Module("never", "N", "/Net/N", "", None, 0),
        Module("list", "ModuleList", None, "", None, 0),
        Module("list.0", "B", "/Net/B.0", "list", 2, 1),
        Module("list.1", "B", "/Net/B.1", "list", 1, 2),
    )
    tree = ModuleTree(HierarchyMap(modules))
    # A container stands where the first of what is in it does; what was never called comes last.
    assert [module.path for module in tree] == ["", "list", "list.1", "list.0", "never"]
    assert [child.path for child in tree["list"].children] == ["list.1", "list.0"]
    assert tree["list.1"].calls == 2


def test_ranks_of_nodes_order_a_map_without_calls() -> None:
    modules = (Module("", "Net", "/Net", None), Module("a", "A", "/Net/A", ""), Module("b", "B", "/Net/B", ""))
    tree = ModuleTree(HierarchyMap(modules), {"": 30, "b": 7, "a": 12})
    # The root has nodes of its own that run late, and still begins before what it calls.
    assert [module.path for module in tree] == ["", "b", "a"]


def test_a_call_from_elsewhere_keeps_the_order_of_calls() -> None:
    modules = (
        Module("", "Net", "/Net", None, 0, 1),
        Module("a", "A", "/Net/A", "", 2, 1),
        Module("a.x", "X", "/Net/A/X", "a", 1, 1),
    )
    assert [module.path for module in ModuleTree(HierarchyMap(modules))] == ["", "a.x", "a"]


def test_containers_that_nothing_lists_are_filled_in() -> None:
    modules = (Module("", "Net", "/Net", None), Module("enc.layer.0", "Blk", "/Net/Blk.enc.layer.0", ""))
    tree = ModuleTree(HierarchyMap(modules))
    assert outline(tree) == [(0, ""), (1, "enc"), (2, "enc.layer"), (3, "enc.layer.0")]
    assert (tree["enc"].cls, tree["enc"].tag, tree["enc"].segment) == (None, None, "enc")


def test_a_level_whose_path_nothing_says_has_its_tag_in_place_of_it() -> None:
    modules = (Module("", "Net", "/Net", None), Module("enc.layer.0", "Blk", "/Net/Enc/Blk.0", ""))
    tree = ModuleTree(HierarchyMap(modules))
    assert outline(tree) == [(0, ""), (1, "/Net/Enc"), (2, "enc.layer.0")]
    level = tree["/Net/Enc"]
    assert (level.cls, level.tag, level.segment, level.shown) == ("Enc", "/Net/Enc", "Enc", "/Net/Enc")


def test_a_path_that_was_made_of_its_tag_gets_no_containers() -> None:
    modules = (Module("", "Net", "/Net", None), Module("Blk.0", "Blk", "/Net/Blk.0", ""))
    assert outline(ModuleTree(HierarchyMap(modules))) == [(0, ""), (1, "Blk.0")]


def test_a_level_of_another_branch_is_not_taken_for_the_parent() -> None:
    """Tags that contradict each other come from damaged files: the path decides."""
    modules = (Module("", "Net", "/Net", None), Module("a", "A", "/Net/A", ""), Module("x.y", "B", "/Net/A/B", ""))
    assert outline(ModuleTree(HierarchyMap(modules))) == [(0, ""), (1, "a"), (1, "x"), (2, "x.y")]


def test_levels_that_are_filled_in_count_for_the_limit() -> None:
    modules = (Module("", "Net", "/Net", None), Module("a.b.c.d", "B", "/Net/B.a.b.c.d", ""))
    hierarchy = HierarchyMap(modules)
    with limited(limits_of_texts(["modules=3"])), pytest.raises(FileFormatError, match="more than 3 modules"):
        ModuleTree(hierarchy)


def test_a_deep_tree_is_walked_without_recursion() -> None:
    paths = [""]
    for _ in range(120):
        paths.append(f"{paths[-1]}.a".lstrip("."))
    tree = ModuleTree(HierarchyMap.from_rows([ModuleRow(path, "A") for path in paths]))
    assert outline(tree)[-1][0] == 120


def test_shown_path() -> None:
    assert shown_path("", "/Net") == "(root)"
    assert shown_path("enc.0", "/Net/Blk.0") == "enc.0"
    assert shown_path("Blk.0", "/Net/Blk.0") == "/Net/Blk.0"
    assert shown_path("list", None) == "list"


def test_reprs_are_short() -> None:
    name = "x" * 10_000
    tree = ModuleTree(
        HierarchyMap((Module("", "N" * 5000, "/" + "N" * 5000, None), Module(name, name, f"/N/{name}", "")))
    )
    assert all(len(repr(value)) < 300 for value in (tree, *tree))
