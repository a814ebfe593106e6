"""The JSON file of a profile: one schema, versioned and validated, columnar, with equal bytes for equal profiles.

`python -m onnx_tagger.measures.profiling.file` prints the JSON schema that ships with the package.
"""

from __future__ import annotations

import json
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.hierarchy.tree import Module
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.measures.file import DamagedError, module_columns, modules_of, plain
from onnx_tagger.measures.profiling.kernel import Kernel, Overhead, Roof
from onnx_tagger.measures.profiling.records import FORMAT, VERSION, KernelColumns, ProfileRecord
from onnx_tagger.model.arguments import path_of
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.metadata import SOURCES, Tag
from onnx_tagger.version import version

if TYPE_CHECKING:
    from onnx_tagger.measures.profiling.profile import Profile

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# Digits of a time that are written: a billionth of a second, of which no clock here knows more.
_DIGITS = 3


def json_schema() -> str:
    """The JSON schema of the file, as it ships in ``profile.schema.json``."""
    return json.dumps(msgspec.json.schema(ProfileRecord), indent=1, sort_keys=True) + "\n"


def to_json(profile: Profile) -> str:
    """A profile as JSON text, without a line break at its end."""
    return json.dumps(as_dict(profile), ensure_ascii=False)


def as_dict(profile: Profile) -> dict[str, object]:
    """A profile as plain values, in the shape of its file."""
    modules = list(profile.tree.root.below())
    overhead, roof = profile.overhead, profile.roof
    return {
        "format": FORMAT,
        "version": VERSION,
        "created_by": f"onnx-tagger {version()}",
        "model": profile.model,
        "runtime": profile.runtime,
        "settings": dict(profile.settings),
        "modules": module_columns(modules),
        "kernels": _kernel_columns(profile, {module.path: row for row, module in enumerate(modules)}),
        "latency_us": [round(value, _DIGITS) for value in profile.latencies],
        "creation_s": [round(value, 6) for value in profile.creations],
        "overhead": None if overhead is None else {f.name: getattr(overhead, f.name) for f in fields(overhead)},
        "roof": None if roof is None else {f.name: getattr(roof, f.name) for f in fields(roof)},
        "peak_bytes": plain(profile.peak),
        "yardstick_us": [round(value, _DIGITS) for value in profile.yardsticks],
        "notes": list(profile.notes),
    }


def _kernel_columns(profile: Profile, rows: dict[str, int]) -> dict[str, object]:
    kernels = profile.kernels
    tags = [kernel.tag for kernel in kernels]
    return {
        **{
            name: [getattr(kernel, name) for kernel in kernels] for name in ("name", "op", "provider", "node", "joined")
        },
        "count": [plain(float(kernel.count)) for kernel in kernels],
        # A module that the tree does not know is none, as everywhere.
        "module": [None if tag is None else rows.get(tag.module) for tag in tags],
        "source": [None if tag is None or tag.module not in rows else tag.source.label for tag in tags],
        "origins": [[] if tag is None else [rows[path] for path in tag.origins if path in rows] for tag in tags],
        "call": [[] if tag is None else list(tag.call) for tag in tags],
        "us": [[round(kernel.us[at], _DIGITS) for kernel in kernels] for at in range(profile.sessions)],
        **{name: [plain(_float(getattr(kernel, name))) for kernel in kernels] for name in ("flops", "bytes", "live")},
    }


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile, whole or not at all.

    Raises
    ------
    TaggerError
        If the file cannot be written.
    """
    replace_file(path, (to_json(profile) + "\n").encode())


def read_profile(source: str | PathLike[str]) -> dict[str, Any]:
    """Read the fields of a profile from its file.

    Raises
    ------
    TaggerError
        If it cannot be read as one; the message says where it is wrong.
    """
    path, most = path_of(source, "the profile"), input_limits().map_bytes
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        meant = advice_on_missing(path) if isinstance(error, FileNotFoundError) else ""
        raise TaggerError(
            f"{path}: cannot be read ({why}); {meant or 'give a profile that was saved with -o or Profile.save'}"
        ) from None
    if len(data) > most:
        raise TaggerError(f"{path}: holds more than {most} bytes, the limit for a profile; {advice('map_bytes')}")
    try:
        return _fields_of(msgspec.json.decode(data, type=ProfileRecord))
    except _UNREADABLE as error:
        place, fault = place_and_fault(error)
        raise TaggerError(
            f"{path}: {place or 'the file'}: {fault}; give a profile that was saved with -o or Profile.save"
        ) from None
    except DamagedError as error:
        raise TaggerError(f"{path}: {error}; the profile is damaged, make it again") from None


def _fields_of(record: ProfileRecord) -> dict[str, Any]:
    tree, modules = modules_of(record.modules)
    overhead, roof = record.overhead, record.roof
    return {
        "model": record.model,
        "runtime": record.runtime,
        "tree": tree,
        "kernels": _kernels(record.kernels, modules),
        "settings": record.settings,
        "latencies": tuple(record.latency_us),
        "creations": tuple(record.creation_s),
        "overhead": None if overhead is None else Overhead(overhead.per_kernel, overhead.taken_out),
        "roof": None if roof is None else Roof(roof.gflops, roof.gbytes),
        "peak": record.peak_bytes,
        "yardsticks": tuple(record.yardstick_us),
        "notes": tuple(record.notes),
    }


def _kernels(columns: KernelColumns, modules: list[Module]) -> tuple[Kernel, ...]:
    count = len(columns.name)
    names = [name for name in columns.__struct_fields__ if name != "us"]
    odd = next((name for name in names if len(getattr(columns, name)) != count), None)
    if odd is not None or any(len(times) != count for times in columns.us):
        raise DamagedError(f"the column {odd or 'us'!r} of its kernels is not as long as their names")
    if count and not columns.us:
        raise DamagedError("its kernels have no times")
    rows = [*(row for row in columns.module if row is not None), *(row for rows in columns.origins for row in rows)]
    if rows and max(rows) >= len(modules):
        raise DamagedError("a kernel names a module that is not there")
    each = zip(*(getattr(columns, name) for name in names), *columns.us, strict=True)
    return tuple(_kernel(dict(zip(names, values, strict=False)), values[len(names) :], modules) for values in each)


def _kernel(cells: dict[str, Any], us: tuple[float, ...], modules: list[Module]) -> Kernel:
    row, source = cells.pop("module"), cells.pop("source")
    origins, call = cells.pop("origins"), cells.pop("call")
    tag = None
    if row is not None:
        if source not in SOURCES:
            raise DamagedError(f"a kernel of {modules[row].path!r} does not say how its module was found")
        paths = tuple(modules[origin].path for origin in origins)
        tag = Tag(modules[row].path, modules[row].tag or "", SOURCES[source], paths, tuple(call))
    return Kernel(us=us, tag=tag, **cells)


if __name__ == "__main__":
    print(json_schema(), end="")
