"""What a hierarchy map's JSON file holds, described once for pydantic: it validates what is read and gives the schema.

Reading and writing the file are `hierarchy_file`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

_STRICT = ConfigDict(strict=True, extra="ignore", populate_by_name=True)

T = TypeVar("T")

# A list ends at its first wrong item: one that is wrong throughout would give millions of errors, of which one is told.
List = Annotated[list[T], FailFast()]
Index = Annotated[int, Field(ge=0, lt=1 << 31)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


def _insist_on_first_items(value: object) -> object:
    """Stop at the first entry of a mapping that is no list of integers, as `List` does; pydantic would tell of each."""
    for key, items in value.items() if isinstance(value, dict) else ():
        if not (isinstance(key, str) and key.isascii() and key.isdigit() and len(key) <= 10):
            raise ValueError("each key should be an integer of up to ten digits")
        if not isinstance(items, list) or any(type(item) is not int or not 0 <= item < 1 << 31 for item in items):
            raise ValueError("each entry should be a list of positions")
    return value


class ModuleRecord(BaseModel):
    """A module: its path, class, tag, parent, order of first call, number of calls and aliases."""

    model_config = _STRICT
    path: str
    class_name: str = Field(alias="class")
    tag: str | None
    parent: str | None
    order: Index | None
    calls: Index
    aliases: List[str] = []


class ParameterRecord(BaseModel):
    """A parameter or buffer: name, owner, shape, dtype and the digests of its values."""

    model_config = _STRICT
    name: str
    owner: str
    shape: List[Annotated[int, Field(ge=0, lt=1 << 63)]] = Field(max_length=64)
    dtype: str
    digests: tuple[Digest, Digest] = Field(strict=False)


class NodeColumns(BaseModel):
    """The nodes of the exported graph by columns; integers index `strings`, the module -1 is unknown."""

    model_config = _STRICT
    scope: List[Index]
    name: List[Index]
    op: List[Index]
    inputs: List[List[Index]]
    outputs: List[List[Index]]
    module: List[Annotated[int, Field(ge=-1, lt=1 << 31)]]
    call: List[List[Index]]
    origins: List[List[Index]]
    source: List[Literal["exported", "matched", "aligned", "inherited", "root", ""]]


class InitializerColumns(BaseModel):
    """The stored tensors of the main graph and the modules that own a parameter of their values."""

    model_config = _STRICT
    name: List[Index]
    owners: List[List[Index]]


class GraphRecord(BaseModel):
    """The skeleton of the exported graph, columnar with one string table."""

    model_config = _STRICT
    strings: List[str]
    nodes: NodeColumns
    inputs: List[Index]
    outputs: List[Index]
    initializers: InitializerColumns


class TraceColumns(BaseModel):
    """The operations of the captured run in order of time.

    Operators and calls index their tables (a call -1 is none), modules and weights are positions in `modules` and
    `parameters`; `views` are the positions of the operations that only looked at a tensor in another way; `reads` are
    those of the operations whose results each took.
    """

    model_config = _STRICT
    operators: List[str]
    calls: List[str]
    operator: List[Index]
    module: List[Index]
    call: List[Annotated[int, Field(ge=-1, lt=1 << 31)]]
    views: List[Index]
    reads: List[List[Index]]
    weights: Annotated[
        dict[Annotated[str, Field(pattern=r"^[0-9]{1,10}$")], List[Index]], BeforeValidator(_insist_on_first_items)
    ]


class MapRecord(BaseModel):
    """A hierarchy map: which modules a PyTorch model has and which of them each node of its ONNX export came from."""

    model_config = _STRICT
    format: Literal["onnx-tagger/hierarchy-map"]
    version: Literal[1]
    created_by: str
    modules: List[ModuleRecord]
    parameters: List[ParameterRecord]
    trace: TraceColumns | None = None
    graph: GraphRecord | None = None
