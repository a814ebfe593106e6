"""The JSON file of a hierarchy map: its schema, reading with limits, writing with equal bytes for equal maps.

What it holds is described in `records`; what is read is made a map by `building`. `python -m
onnx_tagger.hierarchy.file` prints the JSON schema that ships with the package. Nothing in a file is ever
evaluated.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import os
import zlib
from functools import cache
from pathlib import Path

import msgspec

from onnx_tagger.errors import MapError
from onnx_tagger.files.checksum import sha256
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.hierarchy.building import map_from_record
from onnx_tagger.hierarchy.map import (
    FORMAT,
    FORMAT_VERSION,
    HierarchyMap,
    SavedGraph,
)
from onnx_tagger.hierarchy.records import MapRecord
from onnx_tagger.hierarchy.validation import MOST_SHOWN, place_and_fault
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.metadata import SOURCES
from onnx_tagger.model.urls import Url, local_path_of, place_of

# How many times its size a gzipped map may hold, beyond some that are always free. Columns of equal numbers pack well.
_MOST_UNPACKED = 200
_FREE_UNPACKED = 1 << 26

_GZIP = b"\x1f\x8b"

# Bytes that are looked at together.
_CHUNK = 1 << 20

WHERE_MAPS_ARE = "a map is saved beside the model at export, or made by 'capture'; a tagged .onnx is one, too"
"""The end of a sentence about a map that is not there."""

# Invalid JSON, wrong values, text that is no UTF-8 and nesting beyond the stack, as reading reports them.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Header(msgspec.Struct):
    format: msgspec.Raw = msgspec.Raw(b"null")
    version: msgspec.Raw = msgspec.Raw(b"null")


@cache
def _decoder() -> msgspec.json.Decoder[MapRecord]:
    return msgspec.json.Decoder(MapRecord)


def json_schema() -> str:
    """The JSON schema of the file, as it ships in ``hierarchy-map.schema.json``."""
    return json.dumps(msgspec.json.schema(MapRecord), indent=1, sort_keys=True) + "\n"


class _Strings:
    """A string table in the making."""

    def __init__(self) -> None:
        self.table: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.table.setdefault(text, len(self.table))

    def all(self, texts: tuple[str, ...]) -> list[int]:
        return [self(text) for text in texts] if texts else []


def _graph_json(graph: SavedGraph) -> dict[str, object]:
    """The columns of a graph as plain lists."""
    put = _Strings()
    nodes = graph.nodes
    columns: dict[str, list[object]] = {
        "scope": [put(node.scope) for node in nodes],
        "name": [put(node.name) for node in nodes],
        "op": [put(node.op) for node in nodes],
        "inputs": [put.all(node.inputs) for node in nodes],
        "outputs": [put.all(node.outputs) for node in nodes],
        "module": [put(node.tag.module) if node.tag else -1 for node in nodes],
        "call": [put.all(node.tag.call) if node.tag else [] for node in nodes],
        "origins": [put.all(node.tag.origins) if node.tag else [] for node in nodes],
        "source": [node.tag.source.label if node.tag else "" for node in nodes],
    }
    stored = {
        "name": [put(name) for name in graph.initializers],
        "owners": [put.all(owners) for owners in graph.initializers.values()],
    }
    inputs, outputs = put.all(graph.inputs), put.all(graph.outputs)
    return {"strings": list(put.table), "nodes": columns, "inputs": inputs, "outputs": outputs, "initializers": stored}


def _trace_json(hierarchy: HierarchyMap) -> dict[str, object]:
    """The columns of a trace as plain lists."""
    operators, calls = _Strings(), _Strings()
    module = {module.path: index for index, module in enumerate(hierarchy.modules)}
    weight = {parameter.name: index for index, parameter in enumerate(hierarchy.parameters)}
    trace = hierarchy.trace
    columns: dict[str, object] = {
        "operator": [operators(operation.operator) for operation in trace],
        "module": [module[operation.module] for operation in trace],
        "call": [calls(operation.call[0]) if operation.call else -1 for operation in trace],
        "views": [index for index, operation in enumerate(trace) if operation.view],
        "reads": [operation.reads for operation in trace],
        "weights": {
            str(index): [weight[name] for name in operation.weights if name in weight]
            for index, operation in enumerate(trace)
            if operation.weights
        },
    }
    return {"operators": list(operators.table), "calls": list(calls.table)} | columns


def to_json(hierarchy: HierarchyMap) -> bytes:
    """Serialize a map; equal maps give equal bytes.

    One module and one parameter a line, so that maps can be compared with line tools.
    """

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    modules = [
        {
            "path": m.path,
            "class": m.class_name or None,
            "tag": m.tag,
            "parent": m.parent,
            "order": m.order,
            "calls": m.calls,
            "aliases": m.aliases,
        }
        for m in hierarchy.modules
    ]
    parameters = [
        {"name": p.name, "owner": p.owner, "shape": p.shape, "dtype": p.dtype, "digests": p.digests}
        | ({"sketch": p.sketch} if p.sketch else {})
        for p in hierarchy.parameters
    ]
    lines = [
        f'"format":{text(FORMAT)}',
        f'"version":{FORMAT_VERSION}',
        f'"created_by":{text(hierarchy.created_by)}',
        f'"modules":[\n{_rows(map(text, modules))}]',
        f'"parameters":[\n{_rows(map(text, parameters))}]',
    ]
    if hierarchy.trace:
        lines.append(f'"trace":{text(_trace_json(hierarchy))}')
    if hierarchy.graph is not None:
        lines.append(f'"graph":{text(_graph_json(hierarchy.graph))}')
    try:
        return ("{" + ",\n".join(lines) + "}\n").encode("utf-8")
    except UnicodeEncodeError as error:
        raise MapError(
            f"a name in the model is no valid text ({error.reason}): rename it before saving a map"
        ) from None


def _rows(lines: map[str]) -> str:
    return ",\n".join(lines) + "\n"


def digest_of(data: bytes) -> str:
    """The digest of a map that is written on a model: the first 32 hexadecimal digits of the JSON's SHA-256."""
    return sha256(data)[:32]


def write_map(hierarchy: HierarchyMap, path: str | os.PathLike[str]) -> str:
    """Write a map to a file, atomically; see `HierarchyMap.save`."""
    target = local_path_of(path, "the map to write")
    data = to_json(hierarchy)
    if target.suffix == ".gz":
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as stream:
            stream.write(data)
        replace_file(target, packed.getvalue())
    else:
        replace_file(target, data)
    return digest_of(data)


def read_map(path: str | os.PathLike[str], max_bytes: int | None = None) -> HierarchyMap:
    """Read and validate a map.

    Parameters
    ----------
    path : path
        A ``.hierarchy.json`` or gzipped file.
    max_bytes : int, optional
        Largest JSON text that is accepted, in bytes after decompression; by default the limit that holds now.

    Raises
    ------
    MapError
        If the file is missing, exceeds a limit on inputs, is no JSON, of another format or version, or inconsistent.
    """
    source, most = place_of(path, "the map"), input_limits().map_bytes if max_bytes is None else max_bytes
    if isinstance(source, Url):
        return parse_map(_fetched_bytes(source, most), source.shown)
    return parse_map(_read_bytes(source, most), str(source))


def _fetched_bytes(source: Url, max_bytes: int) -> bytes:
    """The JSON text of a map that lies elsewhere."""
    from onnx_tagger.files.sources import read_all

    data = read_all(source, max_bytes)
    if not data.startswith(_GZIP):
        return data
    allowed = min(max_bytes, max(_FREE_UNPACKED, len(data) * _MOST_UNPACKED))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            text = stream.read(allowed + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise MapError(f"{source.shown}: cannot be read as a map ({error}); copy it again") from None
    if len(text) > allowed:
        raise MapError(f"{source.shown}: unpacks to more than {allowed} bytes; {advice('map_bytes')}")
    return text


def _read_bytes(source: Path, max_bytes: int) -> bytes:
    allowed = max_bytes
    try:
        if source.exists() and not source.is_file():
            raise MapError(
                f"{source}: cannot be read as a map (it is no regular file); give a .hierarchy.json[.gz] file"
            )
        with source.open("rb") as stream:
            packed = stream.read(2) == _GZIP
            if packed:
                size = os.fstat(stream.fileno()).st_size
                allowed = min(max_bytes, max(_FREE_UNPACKED, size * _MOST_UNPACKED))
        with gzip.open(source) if packed else source.open("rb") as stream:
            data = stream.read(allowed + 1)
    except FileNotFoundError:
        raise MapError(f"{source}: no such map; {advice_on_missing(source) or WHERE_MAPS_ARE}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise MapError(f"{source}: cannot be read as a map ({error}); give a .hierarchy.json[.gz] file") from None
    if len(data) > max_bytes:
        raise MapError(
            f"{source}: holds more than {max_bytes} bytes of JSON, which is the limit for a map; {advice('map_bytes')}"
        )
    if len(data) > allowed:
        raise MapError(f"{source}: unpacks to more than {_MOST_UNPACKED} times its size; unpack it before use")
    return data


def parse_map(data: bytes, where: str) -> HierarchyMap:
    """Parse the JSON text of a map; `where` names it in errors."""
    most = input_limits().map_values
    # Each value but the first stands behind one of these; those in strings count, too, which are few. One with a key
    # takes the memory of several. No byte counts for more than a colon.
    if 8 * len(data) > most and data.count(b",") + data.count(b"[") + data.count(b"{") + 8 * data.count(b":") > most:
        raise MapError(f"{where}: holds more than {most} values; {advice('map_values')}")
    with collector_paused():
        try:
            _insist_on_utf8(data)
            record = _decoder().decode(data)
        except _UNREADABLE as error:
            raise MapError(_explain(data, where, error)) from None
        try:
            return map_from_record(record, digest_of(data))
        except MapError as error:
            raise MapError(f"{where}: {error}") from None


def _insist_on_utf8(data: bytes) -> None:
    """Raise if a text is no UTF-8, also where nobody reads it."""
    if not data.isascii():
        decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(data)
        for start in range(0, len(data), _CHUNK):
            decoder.decode(view[start : start + _CHUNK])
        decoder.decode(b"", final=True)


def _explain(data: bytes, where: str, error: Exception) -> str:
    """One sentence for what is wrong with a map file."""
    if data.startswith(b"version https://git-lfs"):
        return f"{where}: is a Git LFS pointer, which stands for the map: run git lfs pull in its repository"
    try:
        _insist_on_utf8(data)
        header = msgspec.json.decode(data, type=_Header)
        form, version = _beginning(header.format), _beginning(header.version)
    except _UNREADABLE:
        return f"{where}: is no JSON object; give a map made by 'onnx-tagger export' or 'capture'"
    if form != FORMAT:
        found = "no format" if form is None else f"the format {str(form)[:60]!r}"
        return f"{where}: has {found}, not {FORMAT!r}; give a map made by 'onnx-tagger export' or 'capture'"
    if type(version) is not int or version != FORMAT_VERSION:
        return (
            f"{where}: has map version {str(version)[:20]}, this onnx-tagger reads version {FORMAT_VERSION}"
            f"{'' if type(version) is int else ', an integer'}: make the map again or use a fitting onnx-tagger"
        )
    place, fault = place_and_fault(error)
    allowed = f", not one of {', '.join(SOURCES)}" if place.startswith("graph.nodes.source") else ""
    return f"{where}: {place or 'the map'}: {fault}{allowed}; the map is damaged, make it again"


def _beginning(value: msgspec.Raw) -> object:
    """A JSON value; of a long one the beginning of its text."""
    if len(memoryview(value)) <= MOST_SHOWN:
        return msgspec.json.decode(value)
    return bytes(memoryview(value)[:MOST_SHOWN]).decode("utf-8", "replace").lstrip('"')


if __name__ == "__main__":
    print(json_schema(), end="")
