"""What an exporter gives, and what it is given to tag with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import onnx
from torch import nn

from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.capture import Captured
from onnx_tagger.files.proof import Weights
from onnx_tagger.hierarchy.map import HierarchyMap, Merge
from onnx_tagger.model.graph import Walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.report import Phase

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
    closed_ones : bool
        Whether dimensions of size 1 stay as they are though the others are left open.
    verify_bytes : bool
        Whether to prove that the file stores what torch's exporter made.
    input_names, output_names : tuple of str
        Names for the first inputs and outputs of the file; the others have the exporter's.
    dynamic_shapes : mapping, sequence or None
        Which dimensions are left open, as `torch.onnx.export` takes it; None if `dynamic` alone says so.
    debug : bool
        Whether torch's own logs and prints are let through.
    """

    model: nn.Module
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    path: Path
    annotate: Annotate | None
    opset: int | None = None
    dynamic: bool = False
    merge: Merge = "enclosing"
    closed_ones: bool = False
    verify_bytes: bool = False
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None = None
    debug: bool = False


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
    weights : Weights or None
        What was proved to be stored, if that was asked for.
    """

    path: Path
    hierarchy: HierarchyMap
    timings: list[Phase] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    weights: Weights | None = None


class Exporter(Protocol):
    """A strategy."""

    name: str

    def export(self, request: Request, captured: Captured) -> Exported:
        """Export, tag and save; raises `ExportError` with a one-line reason if torch cannot."""


def insist_on_opset(request: Request, found: int | None, other: str) -> None:
    """Refuse a graph of another opset than the one that was asked for: torch keeps its own where it cannot convert.

    Parameters
    ----------
    request : Request
    found : int or None
        The opset of the exported graph.
    other : str
        What else can be done.

    Raises
    ------
    ExportError
        If it is another one.
    """
    if request.opset is not None and found is not None and found != request.opset:
        raise ExportError(
            f"torch cannot write this model in opset {request.opset}, only in {found}; ask for opset {found}{other}"
        )


def insist_on_names(given: Sequence[str], found: Sequence[str], what: str) -> None:
    """Refuse names that do not stand in the file as they were given.

    Parameters
    ----------
    given, found : sequence of str
        The names that were asked for, and those of the exported graph.
    what : "input" or "output"

    Raises
    ------
    TaggerError
        If there are more names than the file has inputs or outputs, or a name was changed.
    """
    if len(given) > len(found):
        raise TaggerError(
            f"{len(given)} {what} names were given, but the file has {len(found)} {what}s "
            f"({', '.join(found) or 'none'}); give at most one name for each"
        )
    changed = next((pair for pair in zip(given, found, strict=False) if pair[0] != pair[1]), None)
    if changed is not None:
        raise TaggerError(f"the {what} name {changed[0]!r} became {changed[1]!r} in the file; choose another name")


def pass_through(walk: Walk, said: list[Tag | None], tree: HierarchyMap) -> None:
    """Nodes that only hand an input of the file, or a value that it returns already, to an output are the root's."""
    main = walk.scopes[0]
    given = {*main.input_names, *main.initializer_names}
    returned = set(main.output_names)
    for op in main.ops:
        # An exporter makes a value that is returned twice into two outputs.
        ready = given | returned if op.node.op_type == "Identity" else given
        ends = ready.issuperset(op.node.input) and returned.issuperset(op.node.output)
        if said[op.id] is None and ends and op.node.input:
            said[op.id] = tree.tag("", Source.EXPORTED)


def parameter_owners(hierarchy: HierarchyMap) -> dict[str, tuple[str, ...]]:
    """Parameter name to the owners of all parameters of the same shape and values: exporters de-duplicate by value."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for parameter in hierarchy.parameters:
        alike.setdefault((parameter.shape, parameter.digests), []).append(parameter.owner)
    return {p.name: tuple(dict.fromkeys(alike[p.shape, p.digests])) for p in hierarchy.parameters}
