"""What a hierarchy map's JSON file holds, described once for pydantic: it validates what is read and gives the schema.

Reading and writing the file are `hierarchy_file`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(strict=True, extra="ignore", populate_by_name=True)

Index = Annotated[int, Field(ge=0, lt=1 << 31)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class ModuleRecord(BaseModel):
    """A module: its path, class, tag, parent, order of first call, number of calls and aliases."""

    model_config = _STRICT
    path: str
    class_name: str = Field(alias="class")
    tag: str | None
    parent: str | None
    order: Index | None
    calls: Index
    aliases: list[str] = []


class ParameterRecord(BaseModel):
    """A parameter or buffer: name, owner, shape, dtype and the digests of its values."""

    model_config = _STRICT
    name: str
    owner: str
    shape: list[Annotated[int, Field(ge=0, lt=1 << 63)]] = Field(max_length=64)
    dtype: str
    digests: tuple[Digest, Digest] = Field(strict=False)


class NodeColumns(BaseModel):
    """The nodes of the exported graph by columns; integers index `strings`, the module -1 is unknown."""

    model_config = _STRICT
    scope: list[Index]
    name: list[Index]
    op: list[Index]
    inputs: list[list[Index]]
    outputs: list[list[Index]]
    module: list[Annotated[int, Field(ge=-1, lt=1 << 31)]]
    call: list[list[Index]]
    origins: list[list[Index]]
    source: list[Literal["exported", "matched", "aligned", "inherited", "root", ""]]


class InitializerColumns(BaseModel):
    """The stored tensors of the main graph and the modules that own a parameter of their values."""

    model_config = _STRICT
    name: list[Index]
    owners: list[list[Index]]


class GraphRecord(BaseModel):
    """The skeleton of the exported graph, columnar with one string table."""

    model_config = _STRICT
    strings: list[str]
    nodes: NodeColumns
    inputs: list[Index]
    outputs: list[Index]
    initializers: InitializerColumns


class TraceColumns(BaseModel):
    """The operations of the captured run in order of time.

    Operators and calls index their tables (a call -1 is none), modules and weights are positions in `modules` and
    `parameters`; `views` are the positions of the operations that only looked at a tensor in another way; `reads` are
    those of the operations whose results each took.
    """

    model_config = _STRICT
    operators: list[str]
    calls: list[str]
    operator: list[Index]
    module: list[Index]
    call: list[Annotated[int, Field(ge=-1, lt=1 << 31)]]
    views: list[Index]
    reads: list[list[Index]]
    weights: dict[Annotated[str, Field(pattern=r"^[0-9]{1,10}$")], list[Index]]


class MapRecord(BaseModel):
    """A hierarchy map: which modules a PyTorch model has and which of them each node of its ONNX export came from."""

    model_config = _STRICT
    format: Literal["onnx-tagger/hierarchy-map"]
    version: Literal[1]
    created_by: str
    modules: list[ModuleRecord]
    parameters: list[ParameterRecord]
    trace: TraceColumns | None = None
    graph: GraphRecord | None = None
