"""A table by module as a tree on the terminal: class, module path, nodes of its own and with all below."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from onnx_tagger.measures.measure import Column
from onnx_tagger.measures.shown import shown
from onnx_tagger.measures.table import ModuleTable, Row
from onnx_tagger.reporters.terminal import Screen, counted, printable

if TYPE_CHECKING:
    from rich.tree import Tree

# Real modules are a dozen levels deep; guides of a tree without a limit would grow with the square of its depth.
MAX_DEPTH = 100

# Columns of the screen that one level of guides takes, and those that a line is left at least.
_GUIDE, _LEAST = 4, 40

# The columns that are words in the line of a module; others follow as name and number.
_WORDS = {f"{name}{part}" for name in ("nodes", "fused") for part in ("", " before", " after", " change")}


def show_tree(screen: Screen, table: ModuleTable, depth: int | None = None) -> None:
    """Print a module tree.

    Parameters
    ----------
    screen : Screen
    table : ModuleTable
        With the columns `nodes` and `fused`, or with `nodes before` and so on, as `ModuleTable.compare` makes them.
        Modules without a tag, such as containers, have a line only if they have numbers of their own.
    depth : int, optional
        Levels to show below the root, or below the topmost modules of a filtered table.
    """
    limit = MAX_DEPTH if depth is None else depth
    rows = _with_levels(table)
    kept = [(level, row) for level, row in rows if level <= limit]
    if screen.terminal:
        _rich_tree(table, kept)
    else:
        screen.lines("  " * level + "  ".join(filter(None, row_texts(table, row))) for level, row in kept)
    if depth is None and len(kept) < len(rows):
        screen.note(f"modules more than {limit} levels deep are left out; ask for more with --depth")
    missing = table.untagged.get("nodes", table.untagged.get("nodes after"))
    if missing:
        screen.styled(f"{counted(int(missing), 'node')} without a tag", "yellow")


def _with_levels(table: ModuleTable) -> list[tuple[int, Row]]:
    """The rows that have a line, each with its level; a filtered table has several tops."""
    levels: dict[str, int] = {}
    found = []
    for row in table.rows:
        # What only origins name has no tag either, but something to say.
        if row.module is None or not (row.module.tag or not row.module.path or any(row.own.values())):
            continue
        above = row.module.parent
        while above is not None and above.path not in levels:
            above = above.parent
        level = levels[row.module.path] = 0 if above is None else levels[above.path] + 1
        found.append((level, row))
    return found


def row_texts(table: ModuleTable, row: Row) -> tuple[str, str, str]:
    """Class, module path and counts of one module; ``3 -> 2`` where there is an earlier model."""
    assert row.module is not None
    parts = [_node_text(row)] if "nodes" in row.own or "nodes after" in row.own else []
    fused = row.own.get("fused", row.own.get("fused after"))
    if fused:
        parts.append(f"{int(fused)} fused with others")
    parts += filter(None, (_column_text(row, column) for column in table.columns if column.name not in _WORDS))
    path = "" if row.module.path.startswith("/") else row.module.shown
    return row.module.segment, path, ", ".join(parts)


def _column_text(row: Row, column: Column) -> str:
    """Name and number of a column; ``1 -> 2`` in place of the three columns of a comparison."""
    text = shown(row.total[column.name])
    name, _, kind = column.name.rpartition(" ")
    if name and {f"{name} {part}" for part in ("before", "after", "change")} <= row.total.keys():
        if kind != "after":
            return ""
        text = f"{shown(row.total[f'{name} before'])} -> {text}"
    return f"{name or column.name} {text}{f' {column.unit}' if column.unit else ''}"


def _node_text(row: Row) -> str:
    """Nodes of its own, and with all below where there are more."""
    compared = "nodes before" in row.own
    own, total = (int(cells["nodes after" if compared else "nodes"] or 0) for cells in (row.own, row.total))
    if not compared:
        return counted(own, "node") + (f", {total} with all below" if total > own else "")
    own_before, total_before = (int(cells["nodes before"] or 0) for cells in (row.own, row.total))
    text = f"{own_before} -> {counted(own, 'node')}"
    if total > own or total_before > own_before:
        text += f", {total_before} -> {total} with all below"
    return text


def _rich_tree(table: ModuleTable, rows: list[tuple[int, Row]]) -> None:
    from rich.tree import Tree

    from onnx_tagger.reporters.colour import console_of

    whole = Tree("", hide_root=True, guide_style="dim")
    trail: list[Tree] = [whole]
    for level, row in rows:
        del trail[level + 1 :]
        trail.append(_rich_row(trail[-1], table, row))
    # Rich would wrap lines whose guides are wider than the terminal letter by letter; the terminal itself does better.
    deepest = max((level for level, _ in rows), default=0)
    console = console_of(sys.stdout)
    console.width = max(console.width, _GUIDE * deepest + _LEAST)
    # Tree renders without recursion, so a deep one is safe.
    console.print(whole)


def _rich_row(parent: Tree, table: ModuleTable, row: Row) -> Tree:
    from rich.text import Text

    segment, path, count = map(printable, row_texts(table, row))
    empty = not any(row.total.values()) and not any(row.own.values())
    style = "dim" if empty else ""
    label = Text(segment, style or "bold")
    label.append(f"  {path}" if path else "", style or "cyan")
    label.append(f"  {count}" if count else "", style or "not bold")
    return parent.add(label)
