"""What the JSON file of a table holds, described once for msgspec: it validates what is read and gives the schema."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

FORMAT = "onnx-tagger/module-table"
VERSION = 1

Parent = Annotated[int, Meta(ge=0, lt=1 << 31)] | None
Calls = Annotated[int, Meta(ge=0)]
Number = float | None


class ColumnRecord(Struct):
    """A column: its name, unit, rule of adding up, and which numbers are worse."""

    name: str
    unit: str
    rule: Literal["sum", "max", "rms", "none"]
    worse: Literal["higher", "lower"] | None


class ModuleColumns(Struct):
    """The modules that have a row, by columns; `parent` is the row of the nearest module around it that has one."""

    path: list[str]
    class_name: list[str | None] = field(name="class")
    tag: list[str | None]
    parent: list[Parent]
    calls: list[Calls]


class CellRecord(Struct):
    """The numbers of a column: for each row its own and with all below, of the untagged nodes, and of all nodes."""

    own: list[Number]
    total: list[Number]
    untagged: Number
    whole: Number


class TableRecord(Struct):
    """Measures by module."""

    format: Literal["onnx-tagger/module-table"]
    version: Literal[1]
    created_by: str
    fused: Literal["enclosing", "shared"]
    columns: list[ColumnRecord]
    modules: ModuleColumns
    cells: list[CellRecord]
