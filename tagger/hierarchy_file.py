"""The JSON file of a hierarchy map: its schema, reading with limits, writing with equal bytes for equal maps.

What it holds is described in `hierarchy_records`; `python -m onnx_tagger.hierarchy_file` prints the JSON schema that
ships with the package. Nothing in a file is ever evaluated.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path

import msgspec

from onnx_tagger.checksum import sha256
from onnx_tagger.collector import collector_paused
from onnx_tagger.errors import MapError
from onnx_tagger.files import replace_file
from onnx_tagger.hierarchy import (
    FORMAT,
    FORMAT_VERSION,
    HierarchyMap,
    Module,
    Operation,
    Parameter,
    SavedGraph,
    SavedNode,
)
from onnx_tagger.hierarchy_records import GraphRecord, MapRecord, TraceColumns
from onnx_tagger.limits import advice, input_limits
from onnx_tagger.metadata import MAX_PARTS, SOURCES, Tag, fits
from onnx_tagger.validation import MOST_SHOWN, place_and_fault

# How many times its size a gzipped map may hold, beyond some that are always free. Columns of equal numbers pack well.
_MOST_UNPACKED = 200
_FREE_UNPACKED = 1 << 26

# Bytes that are looked at together.
_CHUNK = 1 << 20

# The number of a call behind a part of a module path.
_NUMBER = re.compile(r"@[0-9]+(?=\.|$)")


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
            "class": m.class_name,
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
    data = to_json(hierarchy)
    target = Path(path)
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
    source = Path(path)
    return parse_map(_read_bytes(source, input_limits().map_bytes if max_bytes is None else max_bytes), str(source))


def _read_bytes(source: Path, max_bytes: int) -> bytes:
    allowed = max_bytes
    try:
        if source.exists() and not source.is_file():
            raise MapError(
                f"{source}: cannot be read as a map (it is no regular file); give a .hierarchy.json[.gz] file"
            )
        with source.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            if packed:
                size = os.fstat(stream.fileno()).st_size
                allowed = min(max_bytes, max(_FREE_UNPACKED, size * _MOST_UNPACKED))
        with gzip.open(source) if packed else source.open("rb") as stream:
            data = stream.read(allowed + 1)
    except FileNotFoundError:
        raise MapError(
            f"{source}: no such file; a map is saved beside the model at export, or made by 'capture'"
        ) from None
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
            return _from_record(record, digest_of(data))
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


def _from_record(record: MapRecord, digest: str) -> HierarchyMap:
    _insist_on_few(len(record.modules), "modules")
    modules = tuple(
        Module(m.path, m.class_name, m.tag, m.parent, m.order, m.calls, tuple(m.aliases)) for m in record.modules
    )
    parameters = tuple(Parameter(p.name, p.owner, p.shape, p.dtype, p.digests) for p in record.parameters)
    trace = _trace_from(record.trace, modules, parameters) if record.trace is not None else ()
    bare = HierarchyMap(modules, parameters, None, record.created_by, digest, trace)
    odd = _unfitting(bare)
    if odd is not None:
        raise MapError(f"the tag {odd.tag!r} does not fit the module {odd.path!r}; the map is damaged, make it again")
    lost = next((p for p in parameters if p.owner not in bare.by_path), None)
    if lost is not None:
        raise MapError(f"parameter {lost.name!r} has the owner {lost.owner!r}, which the map does not list")
    if record.graph is None:
        return bare
    try:
        return bare.with_graph(_graph_from(record.graph, bare))
    except IndexError:
        raise MapError("a node refers to a string that the table does not hold; the map is damaged") from None


def _unfitting(tree: HierarchyMap) -> Module | None:
    """A module whose tag cannot belong to its path, or None."""
    # The innermost tagged module around what lies in a module.
    around: dict[str, Module] = {}
    for module in tree.modules:
        above = around.get(module.parent) if module.parent is not None else None
        if module.tag is None:
            around.update({} if above is None else {module.path: above})
            continue
        if (above is None or not _continues(above, module)) and not fits(module.tag, module.path):
            return module
        around[module.path] = module
    return None


def _continues(above: Module, module: Module) -> bool:
    """Whether a tag is plainly that of a module around it and one segment more, which then fits if that one does."""
    tag, path, start = module.tag or "", module.path, f"{above.tag}/"
    if not tag.startswith(start) or tag.count("/") + tag.count(".") > MAX_PARTS or path.count(".") >= MAX_PARTS:
        return False
    name, dot, keys = tag[len(start) :].partition(".")
    rest = path[len(above.path) + 1 :] if above.path else path
    if not name or "/" in name or "/" in keys or "/" in rest or "%" in rest:
        return False
    return not dot or (bool(keys) and f".{rest}".endswith(f".{keys}"))


def _trace_from(
    record: TraceColumns, modules: tuple[Module, ...], parameters: tuple[Parameter, ...]
) -> tuple[Operation, ...]:
    if not len(record.operator) == len(record.module) == len(record.call) == len(record.reads):
        raise MapError("the columns of its trace differ in length; the map is damaged")
    _insist_on_few(len(record.operator), "operations")
    views, count = set(record.views), len(record.operator)
    if any(place >= index for index, places in enumerate(record.reads) for place in places):
        raise MapError("an operation of its trace takes what comes later; the map is damaged")
    if max(views, default=0) >= max(count, 1) or any(
        key != str(int(key)) or int(key) >= count for key in record.weights
    ):
        raise MapError("its trace tells of operations that it does not list; the map is damaged")
    if any(index < len(modules) and modules[index].tag is None for index in set(record.module)):
        raise MapError("its trace has operations in a module that has no forward; the map is damaged")
    for module, call in set(zip(record.module, record.call, strict=True)):
        if call >= 0 and module < len(modules) and call < len(record.calls):
            path = _NUMBER.sub("", record.calls[call])
            if path != modules[module].path:
                raise MapError(f"its trace has the call {record.calls[call]!r} of another module; the map is damaged")
    try:
        return tuple(
            Operation(
                modules[module].path,
                record.operators[operator],
                index in views,
                tuple(parameters[weight].name for weight in record.weights.get(str(index), ())),
                () if call < 0 else (record.calls[call],),
                reads,
            )
            for index, (module, operator, call, reads) in enumerate(
                zip(record.module, record.operator, record.call, record.reads, strict=True)
            )
        )
    except IndexError:
        raise MapError("its trace names what the map does not list; the map is damaged") from None


def _insist_on_few(count: int, what: str) -> None:
    limit = "modules" if what == "modules" else "nodes"
    most: int = getattr(input_limits(), limit)
    if count > most:
        raise MapError(f"it lists {count} {what}, more than {most}; {advice(limit)}")


def _graph_from(record: GraphRecord, tree: HierarchyMap) -> SavedGraph:
    strings, nodes = record.strings, record.nodes
    columns = (nodes.scope, nodes.name, nodes.op, nodes.inputs, nodes.outputs, nodes.module, nodes.call, nodes.origins)
    if any(len(column) != len(nodes.source) for column in columns):
        raise MapError("the columns of its nodes differ in length; the map is damaged")
    _insist_on_few(len(nodes.source), "nodes")
    stored = record.initializers
    if len(stored.name) != len(stored.owners):
        raise MapError("the columns of its initializers differ in length; the map is damaged")

    tags = _Tags(tree, strings)
    found = map(tags.__getitem__, zip(nodes.module, nodes.source, nodes.origins, nodes.call, strict=True))
    rows = zip(
        *(map(strings.__getitem__, column) for column in (nodes.scope, nodes.name, nodes.op)),
        _texts(strings, nodes.inputs),
        _texts(strings, nodes.outputs),
        found,
        strict=True,
    )
    # Twice as fast as the class itself.
    saved = list(map(partial(tuple.__new__, SavedNode), rows))
    owners = dict(zip(_texts(strings, [stored.name])[0], _texts(strings, stored.owners), strict=True))
    inputs, outputs = _texts(strings, [record.inputs, record.outputs])
    return SavedGraph(saved, inputs, outputs, owners)


def _texts(strings: list[str], column: Iterable[Sequence[int]]) -> list[tuple[str, ...]]:
    """The strings of each row of a column; most rows have one or two, which need no loop of their own."""
    string = strings.__getitem__
    return [
        (strings[row[0]],)
        if len(row) == 1
        else (strings[row[0]], strings[row[1]])
        if len(row) == 2
        else tuple(map(string, row))
        for row in column
    ]


class _Tags(dict[tuple[int, str, tuple[int, ...], tuple[int, ...]], "Tag | None"]):
    """The tag of a node by its columns (module, source, origins, call): nodes of one module share it."""

    def __init__(self, tree: HierarchyMap, strings: list[str]) -> None:
        self.tree, self.strings = tree, strings

    def __missing__(self, key: tuple[int, str, tuple[int, ...], tuple[int, ...]]) -> Tag | None:
        module, source, origins, call = key
        names, calls = _texts(self.strings, [origins, call]) if origins or call else ((), ())
        path = "" if module < 0 else self.strings[module]
        self[key] = found = _tag_from(self.tree, path, module, source, names, calls)
        return found


def _tag_from(
    tree: HierarchyMap, path: str, module: int, source: str, origins: tuple[str, ...], call: tuple[str, ...]
) -> Tag | None:
    """The tag of a node; None if it had none."""
    if module < 0 or not source:
        return None
    found = tree.tag(path, SOURCES[source], origins, call)
    unknown = next((origin for origin in found.origins if origin not in tree.by_path), None) if origins else None
    if unknown is not None:
        raise MapError(f"a node has the origin {unknown!r}, which the map does not list")
    return found


if __name__ == "__main__":
    print(json_schema(), end="")
