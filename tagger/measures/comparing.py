"""A table beside another one: which numbers each module had before and has after, and the change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import Module, ModuleTree
from onnx_tagger.measures.measure import Column
from onnx_tagger.measures.rollup import RolledUp, Value

if TYPE_CHECKING:
    from onnx_tagger.measures.table import ModuleTable

BEFORE, AFTER, CHANGE = "before", "after", "change"


def compared(
    before: ModuleTable, after: ModuleTable
) -> tuple[ModuleTree, tuple[Module, ...], tuple[Column, ...], dict[str, RolledUp]]:
    """Three columns for each column that both tables have; its numbers before, after, and after less before.

    A module that only one of them has counts as 0 in the other where numbers are sums, and has none else.

    Parameters
    ----------
    before, after : ModuleTable
        The rows are those of `before`, followed by what only `after` has, below the module around it.

    Returns
    -------
    tuple
        Tree, rows, columns and cells of the new table.

    Raises
    ------
    TaggerError
        If they share no column, or a column has another unit or rule in the other.
    """
    columns = [column for column in before.columns if column.name in {other.name for other in after.columns}]
    if not columns:
        raise TaggerError("the two tables share no column, so there is nothing to compare")
    odd = next((column for column in columns if after.column(column.name) != column), None)
    if odd is not None:
        raise TaggerError(
            f"the column {odd.name!r} has another unit or rule in one of the tables; make both the same way"
        )
    tree = _joined(before.tree, after.tree)
    kept = {_key(module) for table in (before, after) for module in table.modules}
    modules = tuple(module for module in tree.root.below() if _key(module) in kept)
    made: list[Column] = []
    cells: dict[str, RolledUp] = {}
    for column in columns:
        old, new = _fitted(before, column, modules), _fitted(after, column, modules)
        for name, found in ((BEFORE, old), (AFTER, new), (CHANGE, _change(old, new))):
            made.append(replace(column, name=f"{column.name} {name}"))
            cells[made[-1].name] = found
    return tree, modules, tuple(made), cells


def _key(module: Module) -> str:
    """What a module is known by in both tables: its tag, which one of them may have made the path of."""
    return module.tag or module.path


def _joined(one: ModuleTree, other: ModuleTree) -> ModuleTree:
    """One tree with the modules of both."""
    made: dict[str, Module] = {}
    taken: set[str] = set()
    for module in (*one.root.below(), *other.root.below()):
        if _key(module) in made or module.path in taken:
            continue
        above = made.get(_key(module.parent)) if module.parent is not None else None
        if module.parent is not None and above is None:
            above = next(iter(made.values()))
        copy = Module(module.path, module.cls, module.tag, module.calls, module.aliases, above)
        if above is not None:
            above.children.append(copy)
        made[_key(module)] = copy
        taken.add(module.path)
    return ModuleTree.linked(next(iter(made.values())).below())


def _fitted(table: ModuleTable, column: Column, modules: Sequence[Module]) -> RolledUp:
    """A column of a table for other modules than its own."""
    cells = table.cells[column.name]
    place = {_key(module): index for index, module in enumerate(table.modules)}
    missing = 0.0 if column.rule == "sum" else None
    indexes = [place.get(_key(module)) for module in modules]
    own = [missing if index is None else cells.own[index] for index in indexes]
    total = [missing if index is None else cells.total[index] for index in indexes]
    return replace(cells, own=own, total=total)


def _change(before: RolledUp, after: RolledUp) -> RolledUp:
    return RolledUp(
        [_less(old, new) for old, new in zip(before.own, after.own, strict=True)],
        [_less(old, new) for old, new in zip(before.total, after.total, strict=True)],
        _less(before.untagged, after.untagged),
        _less(before.whole, after.whole),
    )


def _less(before: Value, after: Value) -> Value:
    return None if before is None or after is None else after - before
