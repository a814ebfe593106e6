"""A module tree on the terminal: class, module path, nodes of its own and with all below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_tagger.reporters.terminal import Screen, counted, printable

if TYPE_CHECKING:
    from rich.tree import Tree

    from onnx_tagger.workflows.querying import Branch

# Real modules are a dozen levels deep; guides of a tree without a limit would grow with the square of its depth.
MAX_DEPTH = 100


def show_tree(screen: Screen, top: Branch, untagged: int, depth: int | None = None) -> None:
    """Print a module tree: class, module path, nodes of its own and with all below."""
    limit = MAX_DEPTH if depth is None else depth
    if screen.terminal:
        _rich_tree(top, limit)
    else:
        rows = ((level - 1, branch) for level, branch in top.below() if 0 < level <= limit + 1)
        screen.lines("  " * level + "  ".join(filter(None, branch_texts(branch))) for level, branch in rows)
    if depth is None and any(level > limit + 1 for level, _ in top.below()):
        screen.note(f"modules more than {limit} levels deep are left out; ask for more with --depth")
    if untagged:
        screen.styled(f"{counted(untagged, 'node')} without a tag", "yellow")


def branch_texts(branch: Branch) -> tuple[str, str, str]:
    """Class, module path and counts of one module of the tree; ``3 -> 2`` where there is an earlier model."""
    own, total = branch.before or (branch.own, branch.total)
    count = counted(branch.own, "node") if branch.before is None else f"{own} -> {counted(branch.own, 'node')}"
    if branch.total > branch.own or total > own:
        count += f", {branch.total if branch.before is None else f'{total} -> {branch.total}'} with all below"
    if branch.fused:
        count += f", {branch.fused} fused with others"
    return branch.segment, branch.path or "", count


def _rich_tree(top: Branch, limit: int) -> None:
    from rich.console import Console
    from rich.tree import Tree

    whole = Tree("", hide_root=True, guide_style="dim")
    trail: list[Tree] = [whole]
    for level, branch in top.below():
        if 0 < level <= limit + 1:
            del trail[level:]
            trail.append(_rich_branch(trail[-1], branch))
    # Tree renders without recursion, so a deep one is safe; a wide line is cut by the reader's terminal, not by us.
    Console(highlight=False).print(whole)


def _rich_branch(parent: Tree, branch: Branch) -> Tree:
    from rich.text import Text

    segment, path, count = map(printable, branch_texts(branch))
    style = "" if branch.total or branch.fused else "dim"
    label = Text(segment, style or "bold")
    label.append(f"  {path}" if path else "", style or "cyan")
    label.append(f"  {count}", style or "not bold")
    return parent.add(label)
