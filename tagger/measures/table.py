"""The one table for everything that is known by module: measures added up over the module tree.

It filters, sorts and compares itself; its file is `file`'s, its forms are those of the reporters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.globs import select, under
from onnx_tagger.hierarchy.tree import Module, ModuleTree
from onnx_tagger.measures.measure import Column, Measure, Numbers
from onnx_tagger.measures.rollup import Places, RolledUp, Value, roll_up
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import brief, brief_fields, counted, cut

# Where the number of a node stands that does the work of several modules.
Fused = Literal["enclosing", "shared"]


@dataclass(frozen=True, slots=True)
class Row:
    """One module of a table, or the nodes without a tag.

    Attributes
    ----------
    module : Module or None
        None for the nodes without a tag.
    depth : int
        How many modules enclose it: the root and those with a tag, which containers have not.
    own, total : dict
        Column name to number or None: of its own nodes, and with all below.
    """

    module: Module | None
    depth: int
    own: dict[str, Value]
    total: dict[str, Value]

    __repr__ = brief_fields

    @property
    def path(self) -> str | None:
        """The module's path; None for the nodes without a tag."""
        return self.module.path if self.module is not None else None


@dataclass(frozen=True, eq=False, repr=False)
class ModuleTable:
    """Measures by module.

    Parameters
    ----------
    tree : ModuleTree
        All modules.
    modules : tuple of Module
        Those that have a row, in the order of the rows.
    columns : tuple of Column
    cells : mapping
        Column name to its numbers, one for each of `modules`, and those of the untagged nodes and of the whole.
    fused : "enclosing" or "shared"
        Where the number of a node stands that does the work of several modules: at the module that encloses them all,
        or in equal parts at each of them (for a maximum, in full).

    Examples
    --------
    >>> from onnx_tagger.hierarchy.map import HierarchyMap
    >>> from onnx_tagger.hierarchy.naming import ModuleRow
    >>> from onnx_tagger.model.metadata import Source
    >>> modules = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Blk"), ModuleRow("b", "Blk")])
    >>> tags = [modules.tag("a", Source.EXPORTED), modules.tag("", Source.EXPORTED), None]
    >>> table = ModuleTable.of(ModuleTree(modules), tags, [Measure(Column("time", "µs"), [2.5, 1.0, 4.0])])
    >>> table["a"].own, table[""].total, table.untagged
    ({'time': 2.5}, {'time': 3.5}, {'time': 4.0})
    >>> table.whole
    {'time': 7.5}
    """

    tree: ModuleTree
    modules: tuple[Module, ...]
    columns: tuple[Column, ...]
    cells: Mapping[str, RolledUp]
    fused: Fused = "enclosing"

    @classmethod
    def of(
        cls,
        tree: ModuleTree,
        tags: Sequence[Tag | None],
        measures: Sequence[Measure],
        *,
        fused: Fused = "enclosing",
    ) -> ModuleTable:
        """Add measures up.

        Parameters
        ----------
        tree : ModuleTree
        tags : sequence of (Tag or None)
            One for each node. A node whose module is not in the tree counts as untagged.
        measures : sequence of Measure
            Each with a number, or none, for each node.
        fused : "enclosing" or "shared"

        Raises
        ------
        TaggerError
            If a measure has not as many numbers as there are nodes, or two columns have one name.
        """
        if fused not in ("enclosing", "shared"):
            raise TaggerError(f"fused nodes are shown {fused!r}; choose 'enclosing' or 'shared'")
        _insist_on_columns(measures, len(tags))
        modules = tuple(tree.root.below())
        index = {module.path: place for place, module in enumerate(modules)}
        parents = [index[module.parent.path] if module.parent is not None else -1 for module in modules]
        found = [-1 if tag is None else index.get(tag.module, -1) for tag in tags]
        places = np.array(found, dtype=np.int64)
        shared = _shared_out(tags, index, places) if fused == "shared" else None
        cells = {}
        for measure in measures:
            numbers = measure.numbers
            if measure.places is not None:
                part = _at_places(measure, tags, index)
                cells[measure.column.name] = roll_up(parents, part[0], numbers[part[1]], None, measure.column.rule)
            elif shared is not None:
                where, nodes, shares = shared
                cells[measure.column.name] = roll_up(parents, where, numbers[nodes], shares, measure.column.rule)
            else:
                cells[measure.column.name] = roll_up(parents, places, numbers, None, measure.column.rule)
        return cls(tree, modules, tuple(measure.column for measure in measures), cells, fused)

    # --- reading ---

    @cached_property
    def _place(self) -> dict[str, int]:
        return {module.path: place for place, module in enumerate(self.modules)}

    @property
    def untagged(self) -> dict[str, Value]:
        """Column name to the number of the nodes without a tag."""
        return {column.name: self.cells[column.name].untagged for column in self.columns}

    @property
    def whole(self) -> dict[str, Value]:
        """Column name to the number of all nodes, with and without a tag, whatever rows are shown."""
        return {column.name: self.cells[column.name].whole for column in self.columns}

    @property
    def rows(self) -> list[Row]:
        """The rows in their order; that of the nodes without a tag comes last."""
        return [self.row(place) for place in range(len(self.modules))] + [self.untagged_row]

    @property
    def untagged_row(self) -> Row:
        """The row of the nodes without a tag."""
        return Row(None, 0, self.untagged, self.untagged)

    def row(self, place: int) -> Row:
        """The row of the module at a position."""
        module = self.modules[place]
        own = {column.name: self.cells[column.name].own[place] for column in self.columns}
        total = {column.name: self.cells[column.name].total[place] for column in self.columns}
        return Row(module, self.depths[module.path], own, total)

    @cached_property
    def depths(self) -> dict[str, int]:
        """Module path to how many modules enclose it: the root and those with a tag, which containers have not."""
        found = {"": 0}
        for module in self.tree.root.below():
            if module.parent is not None:
                found[module.path] = found[module.parent.path] + _counts(module.parent)
        return found

    def __len__(self) -> int:
        return len(self.modules)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        """The row of a module, by its path, an alias or its tag.

        Raises
        ------
        KeyError
            If there is no such module, or it has no row; the message names the nearest ones.
        """
        module = self.tree[name]
        if module.path not in self._place:
            raise KeyError(f"the module {name!r} has no row in this table, which was filtered")
        return self.row(self._place[module.path])

    def column(self, name: str) -> Column:
        """The column of a name.

        Raises
        ------
        TaggerError
            If there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        raise TaggerError(f"no column is named {name!r}: {advice_on(name, names, 'choose from ' + ', '.join(names))}")

    def __repr__(self) -> str:
        return brief(self, counted(len(self.modules), "module"), *(cut(column.name, 20) for column in self.columns[:9]))

    def _repr_html_(self) -> str:
        from onnx_tagger.measures.fragment import html_table

        return html_table(self)

    # --- other tables ---

    def filter(self, pattern: str | Sequence[str] | None = None, *, depth: int | None = None) -> ModuleTable:
        """The rows of some modules; the whole and the untagged nodes stay what they are.

        Parameters
        ----------
        pattern : str or sequence of str, optional
            The modules that these name and all in them; see `onnx_tagger.hierarchy.globs`.
        depth : int, optional
            Only modules that at most so many others enclose, of those that the pattern names; containers do not count.
        """
        kept = None if pattern is None else under(self.tree, pattern)
        depths = self.depths if kept is None else self._depths_in(kept)
        return self._of_rows(
            place
            for place, module in enumerate(self.modules)
            if (kept is None or module.path in kept) and (depth is None or depths[module.path] <= depth)
        )

    def _depths_in(self, kept: Collection[str]) -> dict[str, int]:
        """As `depths`, for some modules, of which alone those around a module count."""
        found: dict[str, int] = {}
        for module in self.tree.root.below():
            above = module.parent
            if module.path in kept:
                inside = above is not None and above.path in found
                found[module.path] = found[above.path] + _counts(above) if above is not None and inside else 0
        return found

    def of_modules(self, modules: Collection[Module]) -> ModuleTable:
        """The rows of some of its modules, in the order of the table."""
        kept = {module.path for module in modules}
        return self._of_rows(place for place, module in enumerate(self.modules) if module.path in kept)

    def only(self, pattern: str) -> ModuleTable:
        """The rows of the very modules that a pattern names, without those in them."""
        kept = {module.path for module in select(self.tree, pattern)}
        return self._of_rows(place for place, module in enumerate(self.modules) if module.path in kept)

    def sort(self, name: str, *, by: Literal["own", "total"] = "total", descending: bool = True) -> ModuleTable:
        """The rows in the order of a column; modules without a number come last.

        Raises
        ------
        TaggerError
            If there is no such column.
        """
        cells = self.cells[self.column(name).name]
        values = cells.own if by == "own" else cells.total
        sign = -1 if descending else 1

        def key(place: int) -> tuple[bool, float]:
            value = values[place]
            return value is None, 0.0 if value is None else sign * value

        return self._of_rows(sorted(range(len(self.modules)), key=key))

    def select(self, names: Collection[str]) -> ModuleTable:
        """The same rows with some of the columns, in the order of the names.

        Raises
        ------
        TaggerError
            If there is no such column.
        """
        return replace(self, columns=tuple(self.column(name) for name in names))

    def _of_rows(self, places: Iterator[int] | Sequence[int]) -> ModuleTable:
        kept = list(places)
        cells = {
            column.name: replace(
                self.cells[column.name],
                own=[self.cells[column.name].own[place] for place in kept],
                total=[self.cells[column.name].total[place] for place in kept],
            )
            for column in self.columns
        }
        return replace(self, modules=tuple(self.modules[place] for place in kept), cells=cells)

    def compare(self, after: ModuleTable) -> ModuleTable:
        """Compare with a later table: three columns for each that both have, before, after, and the change."""
        from onnx_tagger.measures.comparing import compared

        return ModuleTable(*compared(self, after), after.fused)

    def join(self, other: ModuleTable) -> ModuleTable:
        """The columns of another table beside those of this one, over the modules of both.

        Raises
        ------
        TaggerError
            If they share a column.
        """
        from onnx_tagger.measures.comparing import joined

        return ModuleTable(*joined(self, other), self.fused)

    def to_json(self) -> str:
        """The table as JSON text, in the shape of its file."""
        from onnx_tagger.measures.file import to_json

        return to_json(self)

    # --- files ---

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, whole or not at all; see `onnx_tagger.measures.file`."""
        from onnx_tagger.measures.file import write_table

        write_table(self, path)

    @classmethod
    def load(cls, path: str | Path) -> ModuleTable:
        """Read a table that was saved.

        Raises
        ------
        TaggerError
            If the file cannot be read as one.
        """
        from onnx_tagger.measures.file import read_table

        return cls(*read_table(path))


def _counts(module: Module) -> bool:
    """Whether a module is a level of its own for what lies in it."""
    return module.tag is not None or module.parent is None


def _insist_on_columns(measures: Sequence[Measure], count: int) -> None:
    for measure in measures:
        if len(measure.values) != count:
            raise TaggerError(
                f"the measure {measure.column.name!r} has {len(measure.values)} numbers for {count} nodes; "
                "give one for each node, None where there is none"
            )
    names = [measure.column.name for measure in measures]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TaggerError(f"two measures have the column {twice!r}; name one of them otherwise")


def _shared_out(tags: Sequence[Tag | None], index: Mapping[str, int], places: Places) -> tuple[Places, Places, Numbers]:
    """Positions of modules and of nodes, and which part of each node is the module's; nodes without origins first."""
    fused = [node for node, tag in enumerate(tags) if tag is not None and tag.origins]
    single = np.ones(len(tags), dtype=np.bool_)
    single[fused] = False
    plain = np.flatnonzero(single)
    where: list[int] = []
    nodes: list[int] = []
    counts: list[int] = []
    for node in fused:
        tag = tags[node]
        origins = tag.origins if tag is not None else ()
        where += [index.get(path, -1) for path in origins]
        nodes += [node] * len(origins)
        counts += [len(origins)] * len(origins)
    shares = np.concatenate([np.ones(len(plain)), 1.0 / np.array(counts, dtype=np.float64)])
    return (
        np.concatenate([places[plain], np.array(where, dtype=np.int64)]),
        np.concatenate([plain, np.array(nodes, dtype=np.int64)]),
        shares,
    )


def _at_places(measure: Measure, tags: Sequence[Tag | None], index: Mapping[str, int]) -> tuple[Places, Places]:
    """Position of a module and of a node, for each place at which a measure puts a number of its own choice."""
    choose = measure.places
    assert choose is not None
    found = [(index.get(path, -1), node) for node, tag in enumerate(tags) if tag is not None for path in choose(tag)]
    where, nodes = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return where, nodes
