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
    tree, modules = _rows_of_both(before, after)
    made: list[Column] = []
    cells: dict[str, RolledUp] = {}
    for column in columns:
        old, new = _fitted(before, column, modules), _fitted(after, column, modules)
        for name, found in ((BEFORE, old), (AFTER, new), (CHANGE, _change(old, new))):
            made.append(replace(column, name=f"{column.name} {name}"))
            cells[made[-1].name] = found
    return tree, modules, tuple(made), cells


def joined(
    one: ModuleTable, other: ModuleTable
) -> tuple[ModuleTree, tuple[Module, ...], tuple[Column, ...], dict[str, RolledUp]]:
    """The columns of two tables beside each other, over the modules of both.

    Raises
    ------
    TaggerError
        If they share a column.
    """
    columns = (*one.columns, *other.columns)
    twice = {column.name for column in one.columns} & {column.name for column in other.columns}
    if twice:
        raise TaggerError(f"both tables have the column {min(twice)!r}; compare them, or leave it out of one")
    tree, modules = _rows_of_both(one, other)
    cells = {column.name: _fitted(table, column, modules) for table in (one, other) for column in table.columns}
    return tree, modules, columns, cells


def _rows_of_both(one: ModuleTable, other: ModuleTable) -> tuple[ModuleTree, tuple[Module, ...]]:
    tree = _tree_of_both(one.tree, other.tree)
    kept = [_places(table) for table in (one, other)]
    return tree, tuple(m for m in tree.root.below() if any(_place(m, places) is not None for places in kept))


def _tree_of_both(one: ModuleTree, other: ModuleTree) -> ModuleTree:
    """One tree with the modules of both, each once: by its tag, or by its path where one of them knows no tag."""
    root = _copy(one.root, None)
    made: dict[str, Module] = {name: root for module in (one.root, other.root) for name in _names(module)}
    for module in (*one.root.below(), *other.root.below()):
        known = next((made[name] for name in _names(module) if name in made), None)
        if known is None:
            above = next((made[name] for name in _names(module.parent or root) if name in made), root)
            known = _copy(module, above)
        known.tag, known.cls = known.tag or module.tag, known.cls or module.cls
        made |= dict.fromkeys(_names(module), known)
    return ModuleTree.linked(root.below())


def _names(module: Module) -> tuple[str, ...]:
    """What a module is known by: its tag, and its path."""
    return (module.path,) if module.tag is None else (module.tag, module.path)


def _copy(module: Module, above: Module | None) -> Module:
    made = Module(module.path, module.cls, module.tag, module.calls, module.aliases, above)
    if above is not None:
        above.children.append(made)
    return made


def _places(table: ModuleTable) -> dict[str, int]:
    """Name to position of the row."""
    found = {module.path: place for place, module in enumerate(table.modules)}
    return found | {module.tag: place for place, module in enumerate(table.modules) if module.tag is not None}


def _place(module: Module, places: dict[str, int]) -> int | None:
    return next((places[name] for name in _names(module) if name in places), None)


def _fitted(table: ModuleTable, column: Column, modules: Sequence[Module]) -> RolledUp:
    """A column of a table for other modules than its own."""
    cells, places = table.cells[column.name], _places(table)
    missing = 0.0 if column.rule == "sum" else None
    indexes = [_place(module, places) for module in modules]
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
