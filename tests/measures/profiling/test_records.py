"""What the file of a profile may hold."""

from __future__ import annotations

import msgspec
import pytest

from onnx_tagger.measures.profiling.records import FORMAT, VERSION, KernelColumns, OverheadRecord, ProfileRecord

EMPTY: dict[str, list[object]] = {name: [] for name in KernelColumns.__struct_fields__}
KERNELS = {
    **EMPTY,
    "name": ["a"],
    "op": ["Relu"],
    "provider": [""],
    "node": ["main#0"],
    "joined": ["name"],
    "count": [1.0],
    "module": [None],
    "source": [None],
    "origins": [[]],
    "call": [[]],
    "us": [[1.0]],
    "flops": [None],
    "bytes": [0.0],
    "live": [None],
}


def test_columns_are_read_as_they_are() -> None:
    read = msgspec.convert(KERNELS, KernelColumns)
    assert (read.name, read.us, read.flops) == (["a"], [[1.0]], [None])
    assert msgspec.to_builtins(read) == KERNELS


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("us", [[-1.0]], ">= 0"),
        ("bytes", [-8.0], ">= 0"),
        ("module", [-1], ">= 0"),
        ("module", [1 << 31], "2147483647"),
        ("joined", ["guess"], "Invalid enum value 'guess'"),
        ("source", ["certain"], "Invalid enum value"),
    ],
)
def test_what_cannot_be_is_refused(column: str, value: object, fault: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=fault):
        msgspec.convert({**KERNELS, column: value}, KernelColumns)


def test_another_format_or_version_is_refused() -> None:
    for wrong in ({"format": "else"}, {"version": 2}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"format": FORMAT, "version": VERSION, **wrong}, ProfileRecord)


def test_the_part_that_is_taken_out_may_be_none() -> None:
    assert msgspec.convert({"per_kernel": 4.5, "taken_out": 0.0}, OverheadRecord).taken_out == 0.0
    with pytest.raises(msgspec.ValidationError, match="missing required field `taken_out`"):
        msgspec.convert({"per_kernel": 4.5}, OverheadRecord)
