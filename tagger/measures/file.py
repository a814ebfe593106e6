"""The JSON file of a table: one schema, versioned and validated, columnar, with equal bytes for equal tables.

`python -m onnx_tagger.measures.file` prints the JSON schema that ships with the package.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.hierarchy.tree import Module, ModuleTree
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.measures.measure import Column
from onnx_tagger.measures.records import FORMAT, VERSION, ModuleColumns, TableRecord
from onnx_tagger.measures.rollup import RolledUp, Value
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.version import version

if TYPE_CHECKING:
    from onnx_tagger.measures.table import Fused, ModuleTable

# A number up to here is the same as an integer and as a float.
_EXACT = 1 << 53

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def json_schema() -> str:
    """The JSON schema of the file, as it ships in ``module-table.schema.json``."""
    return json.dumps(msgspec.json.schema(TableRecord), indent=1, sort_keys=True) + "\n"


def as_dict(table: ModuleTable) -> dict[str, object]:
    """A table as plain values, in the shape of its file."""
    columns = [{"name": c.name, "unit": c.unit, "rule": c.rule, "worse": c.worse} for c in table.columns]
    cells = [table.cells[column.name] for column in table.columns]
    return {
        "format": FORMAT,
        "version": VERSION,
        "created_by": f"onnx-tagger {version()}",
        "fused": table.fused,
        "columns": columns,
        "modules": module_columns(table.modules),
        "cells": [
            {
                "own": [plain(value) for value in cell.own],
                "total": [plain(value) for value in cell.total],
                "untagged": plain(cell.untagged),
                "whole": plain(cell.whole),
            }
            for cell in cells
        ],
    }


def module_columns(modules: Sequence[Module]) -> dict[str, object]:
    """Modules by columns, in the shape of `ModuleColumns`."""
    place = {module.path: index for index, module in enumerate(modules)}
    return {
        "path": [module.path for module in modules],
        "class": [module.cls for module in modules],
        "tag": [module.tag for module in modules],
        "parent": [_row_above(module, place) for module in modules],
        "calls": [module.calls for module in modules],
    }


def _row_above(module: Module, place: dict[str, int]) -> int | None:
    above = module.parent
    while above is not None and above.path not in place:
        above = above.parent
    return None if above is None else place[above.path]


def plain(value: Value) -> float | int | None:
    """A number as JSON has it: counts without a point, and none where JSON has no word for it."""
    if value is None or not isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def to_json(table: ModuleTable) -> str:
    """A table as JSON text, without a line break at its end."""
    return json.dumps(as_dict(table), ensure_ascii=False)


def write_table(table: ModuleTable, path: str | Path) -> None:
    """Write a table, whole or not at all.

    Raises
    ------
    TaggerError
        If the file cannot be written.
    """
    replace_file(path, (to_json(table) + "\n").encode())


Parts = tuple[ModuleTree, tuple[Module, ...], tuple[Column, ...], dict[str, RolledUp], "Fused"]


def read_table(path: str | Path) -> Parts:
    """Read the parts of a table from its file: tree, rows, columns, cells, and where fused nodes stand.

    Raises
    ------
    TaggerError
        If it cannot be read as one; the message says where it is wrong.
    """
    most = input_limits().map_bytes
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise TaggerError(f"{path}: cannot be read ({error.strerror}); give a table that was saved") from None
    if len(data) > most:
        raise TaggerError(f"{path}: holds more than {most} bytes, the limit for a table; {advice('map_bytes')}")
    try:
        record = msgspec.json.decode(data, type=TableRecord)
        return _parts(record)
    except _UNREADABLE as error:
        place, fault = place_and_fault(error)
        raise TaggerError(
            f"{path}: {place or 'the file'}: {fault}; give a table that was saved with ModuleTable.save or --json"
        ) from None
    except DamagedError as error:
        raise TaggerError(f"{path}: {error}; the table is damaged, make it again") from None


class DamagedError(Exception):
    """Fields that contradict each other."""


def _parts(record: TableRecord) -> Parts:
    tree, modules = modules_of(record.modules)
    count = len(modules)
    if len(record.cells) != len(record.columns) or len({c.name for c in record.columns}) < len(record.columns):
        raise DamagedError("it has not one list of numbers for each column")
    if any(len(values) != count for cell in record.cells for values in (cell.own, cell.total)):
        raise DamagedError("a column has not one number for each module")
    columns = tuple(Column(c.name, c.unit, c.rule, c.worse) for c in record.columns)
    cells = {c.name: RolledUp(n.own, n.total, n.untagged, n.whole) for c, n in zip(columns, record.cells, strict=True)}
    return tree, tuple(modules), columns, cells, record.fused


def modules_of(rows: ModuleColumns) -> tuple[ModuleTree, list[Module]]:
    """The tree of modules that were written by columns, and the modules in the order of their rows.

    Raises
    ------
    DamagedError
        If the columns contradict each other.
    """
    count = len(rows.path)
    if count > input_limits().modules:
        raise DamagedError(f"it has more than {input_limits().modules} modules ({advice('modules')})")
    lists: Sequence[Sequence[object]] = (rows.class_name, rows.tag, rows.parent, rows.calls)
    if any(len(values) != count for values in lists):
        raise DamagedError("the columns of its modules are not equally long")
    if len(set(rows.path)) < count:
        raise DamagedError("two of its modules have one path")
    modules = _linked(rows)
    return _tree(modules), modules


def _linked(rows: ModuleColumns) -> list[Module]:
    """The modules of the rows with their parents."""
    each = zip(rows.path, rows.class_name, rows.tag, rows.calls, strict=True)
    modules = [Module(path, name, tag, calls) for path, name, tag, calls in each]
    for module, above in zip(modules, rows.parent, strict=True):
        if above is None:
            continue
        if above >= len(modules) or modules[above] is module:
            raise DamagedError(f"the parent of {module.path!r} is none of its modules")
        module.parent = modules[above]
        module.parent.children.append(module)
    return modules


def _tree(modules: list[Module]) -> ModuleTree:
    """A tree of rows; those without a row above lie in the root, which is made if it has none itself."""
    root = next((module for module in modules if not module.path), None) or Module("", None, None)
    if root.parent is not None:
        raise DamagedError("its root lies in another module")
    for module in modules:
        if module.parent is None and module is not root:
            module.parent = root
            root.children.append(module)
    found = list(root.below())
    if len(found) != len({*modules, root}):
        raise DamagedError("some of its modules lie in themselves")
    return ModuleTree.linked(found)


if __name__ == "__main__":
    print(json_schema(), end="")
