"""What a hierarchy map's JSON file holds, described once for msgspec: it validates what is read and gives the schema.

Reading and writing the file are `file`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Index = Annotated[int, Meta(ge=0, lt=1 << 31)]
IndexOrNone = Annotated[int, Meta(ge=-1, lt=1 << 31)]
Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
# The length, since in Python the end of a pattern is also before a line break.
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", max_length=16)]
# Ranks of up to 48 channels, two digits each.
Sketch = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$", max_length=96)]
# Keys of JSON are texts; one that begins with a zero or ends with a line break is refused where it is looked up.
Position = Annotated[str, Meta(pattern="^[0-9]{1,10}$", max_length=10)]


class ModuleRecord(Struct, gc=False):
    """A module: its path, class, tag, parent, order of first call, number of calls and aliases."""

    path: str
    class_name: str | None = field(name="class")
    tag: str | None
    parent: str | None
    order: Index | None
    calls: Index
    aliases: list[str] = []


class ParameterRecord(Struct, gc=False):
    """A parameter or buffer: name, owner, shape, dtype, the digests of its values and a sketch of them."""

    name: str
    owner: str
    shape: Annotated[tuple[Size, ...], Meta(max_length=64)]
    dtype: str
    digests: tuple[Digest, Digest]
    sketch: Sketch = ""


class NodeColumns(Struct, gc=False):
    """The nodes of the exported graph by columns; integers index `strings`, the module -1 is unknown."""

    scope: list[Index]
    name: list[Index]
    op: list[Index]
    inputs: list[tuple[Index, ...]]
    outputs: list[tuple[Index, ...]]
    module: list[IndexOrNone]
    call: list[tuple[Index, ...]]
    origins: list[tuple[Index, ...]]
    source: list[Literal["exported", "matched", "aligned", "named", "inherited", "root", ""]]


class InitializerColumns(Struct, gc=False):
    """The stored tensors of the main graph and the modules that own a parameter of their values."""

    name: list[Index]
    owners: list[tuple[Index, ...]]


class GraphRecord(Struct, gc=False):
    """The skeleton of the exported graph, columnar with one string table."""

    strings: list[str]
    nodes: NodeColumns
    inputs: list[Index]
    outputs: list[Index]
    initializers: InitializerColumns


class TraceColumns(Struct, gc=False):
    """The operations of the captured run in order of time.

    Operators and calls index their tables (a call -1 is none), modules and weights are positions in `modules` and
    `parameters`; `views` are the positions of the operations that only looked at a tensor in another way; `reads` are
    those of the operations whose results each took.
    """

    operators: list[str]
    calls: list[str]
    operator: list[Index]
    module: list[Index]
    call: list[IndexOrNone]
    views: list[Index]
    reads: list[tuple[Index, ...]]
    weights: dict[Position, list[Index]]


class MapRecord(Struct, gc=False):
    """A hierarchy map: which modules a PyTorch model has and which of them each node of its ONNX export came from."""

    format: Literal["onnx-tagger/hierarchy-map"]
    version: Literal[1]
    created_by: str
    modules: list[ModuleRecord]
    parameters: list[ParameterRecord]
    trace: TraceColumns | None = None
    graph: GraphRecord | None = None
