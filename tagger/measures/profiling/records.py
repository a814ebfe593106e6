"""What the JSON file of a profile holds, described once for msgspec: it validates what is read and gives the schema."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from onnx_tagger.measures.records import ModuleColumns

FORMAT = "onnx-tagger/profile"
VERSION = 1

Time = Annotated[float, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)] | None
Row = Annotated[int, Meta(ge=0, lt=1 << 31)]


class KernelColumns(Struct):
    """The kernels, by columns; `module` and `origins` are rows of the modules, `us` a list for each session."""

    name: list[str]
    op: list[str]
    provider: list[str]
    node: list[str]
    joined: list[Literal["name", "neighbours", "none"]]
    count: list[Time]
    module: list[Row | None]
    source: list[Literal["exported", "matched", "aligned", "named", "inherited", "root"] | None]
    origins: list[list[Row]]
    call: list[list[str]]
    us: list[list[Time]]
    flops: list[Amount]
    bytes: list[Amount]
    live: list[Amount]


class OverheadRecord(Struct):
    """Microseconds that profiling costs a kernel, and those of them that were taken out of its time."""

    per_kernel: float
    taken_out: float


class RoofRecord(Struct):
    """What the machine can do: GFLOP/s of a matrix product, GB/s of a copy."""

    gflops: Time
    gbytes: Time


class ProfileRecord(Struct):
    """Where the time of a run goes."""

    format: Literal["onnx-tagger/profile"]
    version: Literal[1]
    created_by: str
    model: str
    runtime: str
    settings: dict[str, str]
    modules: ModuleColumns
    kernels: KernelColumns
    latency_us: list[Time] = field(default_factory=list)
    creation_s: list[Time] = field(default_factory=list)
    overhead: OverheadRecord | None = None
    roof: RoofRecord | None = None
    peak_bytes: Amount = None
    yardstick_us: list[Time] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
