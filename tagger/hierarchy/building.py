"""A hierarchy map made of the records of its file, with all that they say of each other checked.

Reading the file and validating each record by itself are `file`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.map import (
    HierarchyMap,
    Module,
    Operation,
    Parameter,
    SavedGraph,
    SavedNode,
)
from onnx_tagger.hierarchy.records import GraphRecord, MapRecord, TraceColumns
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.metadata import MAX_PARTS, SOURCES, Tag, fits

# The number of a call behind a part of a module path.
_NUMBER = re.compile(r"@[0-9]+(?=\.|$)")


def map_from_record(record: MapRecord, digest: str) -> HierarchyMap:
    """Make a map of what its file says.

    Parameters
    ----------
    record : MapRecord
        Valid by itself, field by field.
    digest : str
        Of the file.

    Raises
    ------
    MapError
        If fields contradict each other, or there are more modules, operations or nodes than the limits allow.
    """
    _insist_on_few(len(record.modules), "modules")
    modules = tuple(
        Module(m.path, m.class_name or "", m.tag, m.parent, m.order, m.calls, tuple(m.aliases)) for m in record.modules
    )
    parameters = tuple(Parameter(p.name, p.owner, p.shape, p.dtype, p.digests, p.sketch) for p in record.parameters)
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
        raise MapError("its trace refers to operations that it does not list; the map is damaged")
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
    # It takes three fifths of the time that the class itself takes.
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
