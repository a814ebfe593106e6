"""Tags: the examples of the design, and that tag and module path are one to one on any tree of real torch modules."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st
from torch import nn

from onnx_tagger.errors import MapError
from onnx_tagger.exporters.capture import module_rows
from onnx_tagger.exporters.recording.recording import named_modules
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow, class_paths, level_paths
from onnx_tagger.model.metadata import fits, segments

ODD = ["a", "b", "0", "1", "10", "a b", "a/b", "a%b", "%2F", "%", "/", "größe", "層", "A", "²", "'", "\\", "\n", "_1"]
CLASSES = ["A", "Blk", "Net", "a", "A.B", "A/B", "A%2FB", "%", "Ä b", "0", "Blk.0", "."]


def module(class_name: str, **children: nn.Module) -> nn.Module:
    """Make an instance of a new class that defines `forward`, with children."""
    made: nn.Module = type(class_name, (nn.Module,), {"forward": lambda self, x: x})()
    for name, child in children.items():
        made.add_module(name, child)
    return made


def tags_of(model: nn.Module) -> dict[str, str | None]:
    return class_paths(module_rows(model))


def add(parent: nn.Module, name: str, child: nn.Module) -> None:
    """Add a child under a name, unless torch refuses the name."""
    if not (hasattr(parent, name) and name not in parent._modules):
        parent.add_module(name, child)


keys = st.sampled_from(ODD) | st.text(
    st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=3
)
class_names = st.sampled_from(CLASSES) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=3
)


@st.composite
def trees(draw: st.DrawFn) -> nn.Module:
    """Draw a module tree: odd class and attribute names, containers in containers, siblings of one class, aliases."""
    made: list[nn.Module] = []
    left = draw(st.integers(0, 14))

    def child() -> nn.Module:
        nonlocal left
        kind = draw(st.sampled_from(["module", "module", "list", "dict", "sequential", "alias"]))
        if kind == "alias" and made:
            return draw(st.sampled_from(made))
        left -= 1
        grow: dict[str, Callable[[], nn.Module]] = {
            "list": nn.ModuleList,
            "dict": nn.ModuleDict,
            "sequential": nn.Sequential,
        }
        new = grow.get(kind, lambda: module(draw(class_names)))()
        for index in range(draw(st.integers(0, 3))):
            if left <= 0:
                break
            add(new, str(index) if kind in ("list", "sequential") else draw(keys), child())
        # A module is finished before it can be an alias of something, so that no module holds itself.
        made.append(new)
        return new

    root = module(draw(class_names))
    while left > 0:
        add(root, draw(keys), child())
    return root


@settings(max_examples=150)
@given(trees())
def test_tag_and_path_are_one_to_one(model: nn.Module) -> None:
    tags = tags_of(model)
    written = [tag for tag in tags.values() if tag is not None]
    assert len(set(written)) == len(written)
    assert set(tags) == set(named_modules(model).values())


@settings(max_examples=150)
@given(trees())
def test_every_pair_fits(model: nn.Module) -> None:
    assert [(tag, path) for path, tag in tags_of(model).items() if tag is not None and not fits(tag, path)] == []


@settings(max_examples=100)
@given(trees(), st.integers(0, 99))
def test_tag_depends_on_the_tree_alone(model: nn.Module, seed: int) -> None:
    rows = module_rows(model)
    shuffled = random.Random(seed).sample(rows, len(rows))
    assert class_paths(shuffled) == class_paths(rows)


@settings(max_examples=100)
@given(trees())
def test_one_segment_for_each_module_with_forward_on_the_way(model: nn.Module) -> None:
    tree = HierarchyMap.from_rows(module_rows(model))
    keyed = {row.path for row in module_rows(model) if row.keyed}
    for found in tree.modules:
        plain = not isinstance(model.get_submodule(found.path), (nn.ModuleList, nn.ModuleDict))
        assert (found.tag is not None) == plain
        if found.tag is None:
            continue
        parts = segments(found.tag)
        assert parts is not None
        assert len(parts) == len(tree.chain(found.path))
        # A tag begins with the tag of the module around it: what encloses what can be read from tags alone.
        outer = tree.chain(found.path)[:-1]
        assert not outer or found.tag.startswith(f"{tree.by_path[outer[-1]].tag}/")
        if found.parent in keyed:
            assert parts[-1][1][-1:] == tuple(
                part.replace("%", "%25").replace("/", "%2F") for part in [found.path.split(".")[-1]]
            )


@settings(max_examples=60)
@given(trees(), trees())
def test_equal_trees_have_equal_tags_whatever_else_differs(model: nn.Module, other: nn.Module) -> None:
    both = module("Pair", one=model, two=other)
    alone = tags_of(module("Pair", one=model, two=module(type(other).__name__)))
    assert {path: tag for path, tag in alone.items() if path.startswith("one")} == {
        path: tag for path, tag in tags_of(both).items() if path.startswith("one")
    }


def bert() -> nn.Module:
    attention = module(
        "BertAttention",
        self=module("BertSdpaSelfAttention", query=nn.Linear(2, 2), key=nn.Linear(2, 2), dropout=nn.Dropout()),
        output=module("BertSelfOutput", dense=nn.Linear(2, 2)),
    )
    layers = nn.ModuleList([module("BertLayer", attention=attention), module("BertLayer")])
    return module("BertModel", encoder=module("BertEncoder", layer=layers))


def test_the_example_of_the_design() -> None:
    tags = tags_of(bert())
    attention = "/BertModel/BertEncoder/BertLayer.0/BertAttention"
    assert tags["encoder.layer.0.attention.self.query"] == f"{attention}/BertSdpaSelfAttention/Linear.query"
    assert tags["encoder.layer.0.attention.self.key"] == f"{attention}/BertSdpaSelfAttention/Linear.key"
    assert tags["encoder.layer.0.attention.self.dropout"] == f"{attention}/BertSdpaSelfAttention/Dropout"
    assert tags["encoder.layer.0.attention.output.dense"] == f"{attention}/BertSelfOutput/Linear"
    assert tags["encoder.layer"] is None
    assert tags[""] == "/BertModel"


def test_siblings_take_parts_from_the_right_until_they_differ() -> None:
    down, up = (nn.ModuleList([module("Blk"), module("Blk")]) for _ in range(2))
    tags = tags_of(module("UNet", down=down, up=up, mid=module("Mid")))
    assert [tag for tag in tags.values() if tag] == [
        "/UNet",
        "/UNet/Blk.down.0",
        "/UNet/Blk.down.1",
        "/UNet/Blk.up.0",
        "/UNet/Blk.up.1",
        "/UNet/Mid",
    ]


def test_only_the_equal_ones_grow() -> None:
    tags = tags_of(module("Net", a=nn.ModuleList([module("Blk")]), b=nn.ModuleList([module("Blk"), module("Blk")])))
    assert tags["a.0"] == "/Net/Blk.a.0"
    assert tags["b.0"] == "/Net/Blk.b.0"
    assert tags["b.1"] == "/Net/Blk.1"


def test_a_grown_segment_that_meets_another_grows_both() -> None:
    inner = nn.ModuleDict({"x": module("Blk")})
    tags = tags_of(module("Net", x=module("Blk"), other=module("Blk"), holder=inner))
    assert tags["x"] == "/Net/Blk.x"
    assert tags["other"] == "/Net/Blk.other"
    assert tags["holder.x"] == "/Net/Blk.holder.x"


def test_no_more_parts_than_needed() -> None:
    down, up = nn.ModuleList([module("Blk")]), nn.ModuleList([module("Blk")])
    tags = tags_of(module("Net", path=nn.ModuleDict({"down": down, "up": up})))
    assert tags["path.down.0"] == "/Net/Blk.down.0"
    assert tags["path.up.0"] == "/Net/Blk.up.0"


def test_a_container_that_is_not_listed_keys_its_children_too() -> None:
    rows = [ModuleRow("", "Net"), ModuleRow("layers.0", "Blk"), ModuleRow("head", "Linear")]
    assert class_paths(rows) == {"": "/Net", "layers.0": "/Net/Blk.0", "head": "/Net/Linear"}


def test_a_sequential_runs_and_keys_its_children() -> None:
    tags = tags_of(module("Net", seq=nn.Sequential(nn.Linear(1, 1), nn.ReLU())))
    assert tags == {
        "": "/Net",
        "seq": "/Net/Sequential",
        "seq.0": "/Net/Sequential/Linear.0",
        "seq.1": "/Net/Sequential/ReLU.1",
    }


def test_odd_characters_are_escaped() -> None:
    holder = nn.ModuleDict({"a/b": module("x.Y/Z%"), "50 %": module("Blk")})
    tags = tags_of(module("Net", d=holder))
    assert tags["d.a/b"] == "/Net/x%2EY%2FZ%25.a%2Fb"
    assert tags["d.50 %"] == "/Net/Blk.50 %25"


def test_an_alias_is_never_written() -> None:
    shared = module("Blk", lin=nn.Linear(1, 1))
    tags = tags_of(module("Net", first=shared, second=shared))
    assert tags == {"": "/Net", "first": "/Net/Blk", "first.lin": "/Net/Blk/Linear"}


def test_two_modules_of_one_dotted_path_are_an_error() -> None:
    rows = [ModuleRow("", "Net"), ModuleRow("a.b", "A"), ModuleRow("a.b", "B")]
    with pytest.raises(MapError, match=r"two modules have the path 'a\.b'"):
        class_paths(rows)


def test_a_tree_without_root_is_an_error() -> None:
    with pytest.raises(MapError, match="no root"):
        class_paths([ModuleRow("a", "A")])


@pytest.mark.parametrize(
    ("path", "tag", "levels"),
    [
        ("a.b", "/Net/A/B", {"/Net/A": "a"}),
        ("enc.layer.0.attn", "/Net/Enc/Layer.0/Attn", {"/Net/Enc": "enc", "/Net/Enc/Layer.0": "enc.layer.0"}),
        ("f.0.conv", "/Net/Sequential/Blk.0/Conv", {"/Net/Sequential": "f", "/Net/Sequential/Blk.0": "f.0"}),
        ("l.0.b.1.m", "/Net/L.0/B.1/M", {"/Net/L.0": "l.0", "/Net/L.0/B.1": "l.0.b.1"}),
        ("attn.q", "/Net/Attn/Linear.q", {"/Net/Attn": "attn"}),
        ("a.down.0.x", "/Net/A/Blk.down.0/X", {"/Net/A": "a", "/Net/A/Blk.down.0": "a.down.0"}),
        # Two containers, or one without a key: what belongs to which level cannot be told.
        ("a.b.c", "/Net/A/B", {}),
        ("wrap.enc.layers.0", "/Net/Enc/Blk.0", {}),
        ("0.0.0", "/Net/A.0/B.0", {}),
        ("a", "/Net/A", {}),
        ("", "/Net", {}),
        ("a.b", "no tag", {}),
    ],
)
def test_level_paths(path: str, tag: str, levels: dict[str, str]) -> None:
    assert level_paths(path, tag) == levels


@given(st.data())
def test_level_paths_are_those_of_the_tree(data: st.DataObject) -> None:
    """Whatever the tree: a path that is given is the right one."""
    rows = [ModuleRow("", "Net")]
    for number in range(data.draw(st.integers(1, 12))):
        above = data.draw(st.sampled_from(rows))
        kind = data.draw(st.sampled_from(["plain", "list", "sequential"]))
        name = str(number) if above.keyed else data.draw(st.sampled_from(["a", "b"])) + str(number)
        rows.append(ModuleRow(f"{above.path}.{name}".lstrip("."), kind, tagged=kind != "list", keyed=kind != "plain"))
    tags = class_paths(rows)
    by_tag = {tag: path for path, tag in tags.items() if tag is not None}
    for path, tag in tags.items():
        for level, found in (level_paths(path, tag) if tag is not None else {}).items():
            assert by_tag[level] == found
