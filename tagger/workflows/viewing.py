"""What `view` shows of a file: measures by module, and each node with its module, its shape, and where it came from.

How it looks is said by the reporters `page`, `svg`, `modelexplorer` and `overlay`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.measure import Column, Measure, measures_of
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.graph import Op, Scope
from onnx_tagger.model.metadata import text_of
from onnx_tagger.model.report import shown_share
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.urls import place_of
from onnx_tagger.workflows.reading import Tagged

_CHUNK = 1 << 20


@dataclass(frozen=True)
class View:
    """A file as it is shown.

    Attributes
    ----------
    title : str
        The name of the file.
    tagged : Tagged
        The file.
    table : ModuleTable
        Measures by module; with an earlier file its numbers before and after, and the change.
    ops : sequence of Op
        The nodes that are shown.
    facts : tuple of (str, str)
        What the file is: its bytes and digest, its nodes and coverage; of an earlier file its name.
    measure : Measure
        What the nodes are overlaid with: the first measure that was asked for, or how their tags were found.
    size, colour : str or None
        The columns to begin with.
    """

    title: str
    tagged: Tagged
    table: ModuleTable
    ops: Sequence[Op]
    facts: tuple[tuple[str, str], ...]
    measure: Measure
    size: str | None = None
    colour: str | None = None

    __repr__ = brief_fields


def view(
    tagged: Tagged, measures: Iterable[str | Measure] = (), before: Tagged | None = None, path: str | Path | None = None
) -> View:
    """Collect what is shown of a file.

    Parameters
    ----------
    tagged : Tagged
        The file, as `onnx_tagger.read` gives it.
    measures : sequence of (str or Measure)
        Besides the number of nodes; the first is what modules are sized by.
    before : Tagged, optional
        The file that it was made of.
    path : path or URL, optional
        Where the file lies: a local one is named by its digest, which of another would have to be fetched whole.

    Raises
    ------
    TaggerError
        If a measure is not known, or the file cannot be read.

    Examples
    --------
    >>> from onnx import helper
    >>> import onnx_tagger as ot
    >>> node = helper.make_node("Relu", ["x"], ["y"], "act")
    >>> ot.write_tag(node, ot.Tag("act", "/Net/ReLU", ot.Source.EXPORTED))
    >>> found = view(ot.read(helper.make_model(helper.make_graph([node], "g", [], []))))
    >>> found.facts
    (('nodes', '1'), ('tagged', '100 %'))
    """
    given = list(measures)
    names = dict.fromkeys(["nodes", *given, "fused"])
    table = tagged.table(names)
    first = _first_measure(tagged, given[0]) if given else None
    place = place_of(path, "the model") if path is not None else None
    facts = [*(_of_file(place) if isinstance(place, Path) else ()), *_counts(tagged)]
    size, colour = first.column.name if first is not None else None, None
    if before is not None:
        table = before.table(names).compare(table)
        facts += [("before", before.name), ("nodes before", f"{len(before.measured.ops)}")]
        shown = size or "nodes"
        size, colour = f"{shown} after", f"{shown} change"
    measure = first or sources_measure(tagged)
    title = place.name if isinstance(place, Path) else tagged.name
    return View(title, tagged, table, tagged.measured.ops, tuple(facts), measure, size, colour)


def _first_measure(tagged: Tagged, given: str | Measure) -> Measure:
    return given if isinstance(given, Measure) else measures_of([given], tagged.measured)[0]


def _of_file(path: Path) -> list[tuple[str, str]]:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise TaggerError(f"{path}: cannot be read ({error.strerror}); give an ONNX file") from None
    return [("sha256", digest.hexdigest()), ("bytes", str(size))]


def _counts(tagged: Tagged) -> list[tuple[str, str]]:
    nodes, with_tag = len(tagged.measured.ops), sum(tag is not None for tag in tagged.measured.tags)
    return [("nodes", str(nodes)), ("tagged", shown_share(with_tag, nodes))]


def unique_names(ops: Sequence[Op]) -> list[str]:
    """A name for each node, its own where it has one; the second of a name, and a nameless one, by its place.

    Parameters
    ----------
    ops : sequence of Op
        All nodes that are shown together.
    """
    taken: set[str] = set()
    found = []
    for op in ops:
        name = text_of(op.node.name)
        if not name or name in taken:
            name = op.label
        while name in taken:
            name += "'"
        taken.add(name)
        found.append(name)
    return found


def shapes_of(ops: Sequence[Op]) -> list[str]:
    """The shape of each first output, such as ``1×128×768 float``; empty where the file does not say it."""
    known: dict[int, dict[str, str]] = {}
    found = []
    for op in ops:
        shapes = known.setdefault(id(op.scope), {})
        if not shapes:
            shapes.update(_shapes_in(op.scope))
        found.append(next((shapes.get(name, "") for name in op.node.output if name), ""))
    return found


def _shapes_in(scope: Scope) -> dict[str, str]:
    proto = scope.proto
    values = list(proto.value_info)
    if isinstance(proto, onnx.GraphProto):
        values += [*proto.output, *proto.input]
    # A mark, so that a scope without any is not looked at again.
    return {"": ""} | {value.name: _shape(value) for value in values}


def _shape(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return str(value.type.WhichOneof("value") or "")
    try:
        dtype = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
    except ValueError:
        dtype = ""
    if not kind.HasField("shape"):
        return str(dtype)
    sizes = [str(d.dim_value) if d.HasField("dim_value") else text_of(d.dim_param) or "?" for d in kind.shape.dim]
    return f"{'×'.join(sizes) or 'scalar'} {dtype}".strip()


def sources_measure(tagged: Tagged) -> Measure:
    """How far a tag is from what an exporter says, as a number: 0 exported to 4 root, none without a tag."""
    tags = tagged.measured.tags
    column = Column("source (0 exported, 1 matched, 2 aligned, 3 inherited, 4 root)", rule="max", worse="higher")
    return Measure(column, [None if tag is None else float(tag.source) for tag in tags])
