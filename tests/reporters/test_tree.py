"""The tree on a terminal and in a pipe: which lines there are, what each says, and how they are nested."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest
from onnx import ModelProto

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.reporters.tree import MAX_DEPTH, show_tree
from onnx_tagger.workflows.reading import read

Net = Callable[..., ModelProto]
Show = Callable[..., list[str]]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    def call(table: ModuleTable, depth: int | None = None) -> list[str]:
        show_tree(Screen(), table, depth)
        return capsys.readouterr().out.splitlines()

    return call


@pytest.fixture
def drawn(show: Show, monkeypatch: pytest.MonkeyPatch) -> Show:
    """As `show`, on a terminal of 120 columns."""
    monkeypatch.setenv("TERM", "xterm")

    def call(table: ModuleTable, depth: int | None = None) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in show(table, depth)]

    return call


def test_a_line_for_each_module_but_containers(show: Show, net: Net, net_map: HierarchyMap) -> None:
    assert show(read(net(), net_map).table()) == [
        "Net  (root)  0 nodes, 7 with all below",
        "  Blk.0  layers.0  0 nodes, 3 with all below",
        "    Linear  layers.0.fc  2 nodes",
        "    ReLU  layers.0.act  1 node",
        "  Blk.1  layers.1  1 node, 4 with all below",
        "    Linear  layers.1.fc  2 nodes",
        "    ReLU  layers.1.act  1 node",
        "  Head  head  0 nodes",
        "1 node without a tag",
    ]


def test_fused_modules_say_so(show: Show, net: Net) -> None:
    lines = show(read(net(after=True)).table())
    assert "  Blk.0  layers.0  1 node" in lines
    # No tag tells the class of these two.
    assert "    fc  layers.0.fc  0 nodes, 1 fused with others" in lines
    assert "    act  layers.0.act  0 nodes, 1 fused with others" in lines


def test_a_map_knows_the_classes_of_fused_modules(show: Show, net: Net, net_map: HierarchyMap) -> None:
    lines = show(read(net(after=True), net_map).table())
    assert "    Linear  layers.0.fc  0 nodes, 1 fused with others" in lines
    assert "    ReLU  layers.0.act  0 nodes, 1 fused with others" in lines
    assert lines[-2:] == ["  Head  head  0 nodes", "1 node without a tag"]


def test_a_comparison_says_what_was_and_what_is(show: Show, net: Net) -> None:
    table = read(net()).table(("nodes", "fused", "weights"))
    after = read(net(after=True)).table(("nodes", "fused", "weights"))
    assert show(table.compare(after), 2) == [
        "Net  (root)  0 -> 0 nodes, 7 -> 5 with all below, weights 80 -> 80 B",
        "  Blk.0  layers.0  0 -> 1 node, 3 -> 1 with all below, weights 80 -> 80 B",
        "    Linear  layers.0.fc  2 -> 0 nodes, 1 fused with others, weights 80 -> 0 B",
        "    ReLU  layers.0.act  1 -> 0 nodes, 1 fused with others, weights 0 -> 0 B",
        "  Blk.1  layers.1  1 -> 1 node, 4 -> 4 with all below, weights 0 -> 0 B",
        "    Linear  layers.1.fc  2 -> 2 nodes, weights 0 -> 0 B",
        "    ReLU  layers.1.act  1 -> 1 node, weights 0 -> 0 B",
        "1 node without a tag",
    ]


def test_other_columns_follow_with_name_and_unit(show: Show, table: ModuleTable) -> None:
    assert show(table)[:3] == [
        "Net  (root)  1 node, 4 with all below, time 2.75 µs, error 2",
        "  Blk  blk  1 node, 3 with all below, time 2.75 µs, error -",
        "    Linear  blk.fc  2 nodes, time 2.25 µs, error -",
    ]


def test_depth(show: Show, drawn: Show, net: Net) -> None:
    table = read(net()).table()
    for call in (show, drawn):
        assert len(call(table, 0)) == 1 + 1
        assert len(call(table, 1)) == 3 + 1


def test_a_filtered_table_begins_at_its_topmost_modules(show: Show, net: Net) -> None:
    table = read(net()).table().filter("layers.*")
    assert show(table)[0] == "Blk.0  layers.0  0 nodes, 3 with all below"
    assert [line.count("  ", 0, 2) for line in show(table)[:-1]] == [0, 1, 1, 0, 1, 1]
    assert len(show(table, 0)) == 2 + 1


def test_on_a_terminal_siblings_stay_siblings(drawn: Show, net: Net) -> None:
    table = read(net()).table()
    assert drawn(table.filter(["<Linear>", "<ReLU>"]))[:4] == [
        "Linear  layers.0.fc  2 nodes",
        "ReLU  layers.0.act  1 node",
        "Linear  layers.1.fc  2 nodes",
        "ReLU  layers.1.act  1 node",
    ]
    assert drawn(table)[:4] == [
        "Net  (root)  0 nodes, 7 with all below",
        "├── Blk.0  layers.0  0 nodes, 3 with all below",
        "│   ├── Linear  layers.0.fc  2 nodes",
        "│   └── ReLU  layers.0.act  1 node",
    ]


def deep(levels: int) -> ModuleTable:
    rows = [ModuleRow("", "Net"), *(ModuleRow(".".join("a" * k), "Blk") for k in range(1, levels + 1))]
    modules = HierarchyMap.from_rows(rows)
    return ModuleTable.of(ModuleTree(modules), [], [Measure(Column("nodes"), [])])


def test_a_deep_tree_is_cut_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    show_tree(Screen(), deep(MAX_DEPTH + 5))
    out, err = capsys.readouterr()
    assert out.count("\n") == MAX_DEPTH + 1
    assert err == f"modules more than {MAX_DEPTH} levels deep are left out; ask for more with --depth\n"
    show_tree(Screen(), deep(MAX_DEPTH + 5), MAX_DEPTH + 5)
    assert capsys.readouterr().out.count("\n") == MAX_DEPTH + 6


def test_a_deep_tree_is_readable_on_a_terminal(drawn: Show) -> None:
    """Guides of 40 levels are wider than the terminal; what they lead to is not cut into letters."""
    lines = drawn(deep(40))
    first = next(line for line in lines if line.startswith(f"{' ' * 39 * 4}└── "))
    assert first.endswith("└── Blk")
    assert [line.strip() for line in lines[lines.index(first) + 1 :]] == [
        ".".join("a" * 20) + ".",
        ".".join("a" * 20),
        "0 nodes",
    ]


def test_hostile_names_are_text(show: Show, drawn: Show, table_of: Callable[..., ModuleTable], hostile: str) -> None:
    table = table_of(hostile, column=hostile or "time")
    for call in (show, drawn):
        lines = call(table)
        # A long line is wrapped on a terminal.
        assert len(lines) == 4 or (call is drawn and len(lines) > 4)
        assert all(line.isprintable() for line in lines)
    if hostile.startswith("[red]"):
        assert "[red]x[%2Fred]" in drawn(table)[0]
