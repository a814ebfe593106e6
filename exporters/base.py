"""What an exporter gives, and what it is given to tag with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import onnx
from torch import nn

from onnx_tagger.exporters.capture import Captured
from onnx_tagger.graph import Walk, operator
from onnx_tagger.hierarchy import HierarchyMap, SavedGraph, SavedNode
from onnx_tagger.metadata import Source, Tag
from onnx_tagger.report import Phase

Merge = Literal["enclosing", "output"]

# Given the exported graph without payloads and the map of it, tag the graph in place and return the finished map.
Annotate = Callable[[onnx.ModelProto, HierarchyMap], HierarchyMap]


@dataclass(frozen=True)
class Request:
    """What is to be exported.

    Attributes
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.
    path : Path
        The file to write.
    annotate : callable or None
        Tags the skeleton before the only save; None for the bare export.
    opset : int or None
        ONNX opset version; None for the exporter's default.
    dynamic : bool
        Whether the dimensions of tensor inputs are left open.
    merge : "enclosing" or "output"
        Whose tag a node gets that an exporter made of several modules' operations.
    """

    model: nn.Module
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    path: Path
    annotate: Annotate | None
    opset: int | None = None
    dynamic: bool = False
    merge: Merge = "enclosing"


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes
    ----------
    path : Path
        The ONNX file.
    hierarchy : HierarchyMap
        The map with the exported graph.
    timings : list of Phase
        Seconds by phase.
    notes : list of str
        Sentences about what was done for the user so that the export could succeed.
    """

    path: Path
    hierarchy: HierarchyMap
    timings: list[Phase] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Exporter(Protocol):
    """A strategy."""

    name: str

    def export(self, request: Request, captured: Captured) -> Exported:
        """Export, tag and save; raises `ExportError` with a one-line reason if torch cannot."""


def merged(tags: Sequence[Tag], tree: HierarchyMap, merge: Merge) -> Tag:
    """The tag of a node that does the work of several operations.

    Parameters
    ----------
    tags : sequence of Tag
        One for each operation; the one whose output survives comes last.
    tree : HierarchyMap
    merge : "enclosing" or "output"
    """
    origins = {path for tag in tags for path in tag.modules}
    module = tags[-1].module if merge == "output" else tree.enclosing(origins)
    calls = tuple(sorted({call for tag in tags for call in tag.call}))
    return tree.tag(module, max(tag.source for tag in tags), origins, calls)


def pass_through(walk: Walk, said: list[Tag | None], tree: HierarchyMap) -> None:
    """Nodes that only hand an input of the file to an output are the root's: it returned what it was given."""
    main = walk.scopes[0]
    given = {*main.input_names, *main.initializer_names}
    returned = set(main.output_names)
    for op in main.ops:
        ends = given.issuperset(op.node.input) and returned.issuperset(op.node.output)
        if said[op.id] is None and ends and op.node.input:
            said[op.id] = tree.tag("", Source.EXPORTED)


def saved_graph(walk: Walk, tags: Sequence[Tag | None], owners: Mapping[str, tuple[str, ...]]) -> SavedGraph:
    """The skeleton of an exported graph with what the exporter says of each node.

    Parameters
    ----------
    walk : Walk
        Of the exported model.
    tags : sequence of (Tag or None)
        One for each op of the walk.
    owners : mapping
        Initializer name to the modules that own a parameter of its values.
    """
    main = walk.scopes[0]
    nodes = [
        SavedNode(op.scope.name, op.node.name, operator(op.node), tuple(op.node.input), tuple(op.node.output), tag)
        for op, tag in zip(walk.ops, tags, strict=True)
    ]
    stored = {name: owners.get(name, ()) for name in main.initializer_names}
    return SavedGraph(nodes, tuple(main.input_names), tuple(main.output_names), stored)


def parameter_owners(hierarchy: HierarchyMap) -> dict[str, tuple[str, ...]]:
    """Parameter name to the owners of all parameters of the same shape and values: exporters de-duplicate by value."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for parameter in hierarchy.parameters:
        alike.setdefault((parameter.shape, parameter.digests), []).append(parameter.owner)
    return {p.name: tuple(dict.fromkeys(alike[p.shape, p.digests])) for p in hierarchy.parameters}
