"""Truth by execution: which modules really did what each ONNX node does, and what its tag is worth beside that.

`observed` runs the eager model and keeps what each ATen operation makes and reads. Here the ONNX file runs in
onnxruntime with its tensors exposed and optimisation off. `comparison` ties the one to the other by their values, and
`verdicts` counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import onnx

from onnx_tagger.exporters.interface import feeds_of
from onnx_tagger.exporters.truth.comparison import Comparison, Truth
from onnx_tagger.exporters.truth.observed import Observation, Values, observe
from onnx_tagger.exporters.truth.verdicts import Judgement
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Tag, own_tag, props_of
from onnx_tagger.runtime.sessions import tensors_of

Group = TypeVar("Group")

__all__ = [
    "Findings",
    "Judgement",
    "Observation",
    "compare",
    "feeds_of",
    "judge",
    "judged",
    "judged_by",
    "observe",
    "tensors_of",
]


@dataclass(frozen=True)
class Findings:
    """What a `Comparison` found of a file's nodes, by their ids, whatever their tags say.

    Attributes
    ----------
    truths, auxiliary, made_in, read_by : mapping
        As in `Comparison`, whose tensors are let go of.
    """

    truths: Mapping[int, Truth]
    auxiliary: Mapping[int, str]
    made_in: Mapping[int, frozenset[str]]
    read_by: Mapping[int, frozenset[frozenset[str]]]


def judge(
    path: str | os.PathLike[str],
    hierarchy: HierarchyMap,
    observations: Sequence[Observation],
    feeds: Mapping[str, Values],
) -> Judgement:
    """Judge the tags of a file by what was observed.

    Of several operations that made the value of a node, the node is judged by the one that agrees best with its tag:
    values tell no more. A node whose own value no operation makes is judged by the operation that it serves, if all
    its ways lead to operations of one and the same module.

    Parameters
    ----------
    path : path
        A tagged ONNX file; other tools may have changed it.
    hierarchy : HierarchyMap
        The model's map.
    observations : sequence of Observation
        From `observe`, with the same inputs.
    feeds : mapping
        Input name to value.
    """
    return judged(onnx.load(os.fspath(path)), compare(path, observations, feeds), hierarchy)


def compare(path: str | os.PathLike[str], observations: Sequence[Observation], feeds: Mapping[str, Values]) -> Findings:
    """Find whose work each node of a file does; takes what `judge` takes. Several taggings can be judged by it."""
    found = Comparison(onnx.load(os.fspath(path)), observations, feeds, tensors_of(path, feeds))
    return Findings(found.truths, found.auxiliary, found.made_in, found.read_by)


def judged(model: onnx.ModelProto, findings: Findings, hierarchy: HierarchyMap) -> Judgement:
    """Judge the tags of a model by what was found of its nodes."""
    return judged_by(model, findings, hierarchy, lambda node: None).get(None, Judgement())


def judged_by(
    model: onnx.ModelProto, findings: Findings, hierarchy: HierarchyMap, group: Callable[[onnx.NodeProto], Group]
) -> dict[Group, Judgement]:
    """Judge the tags of a model by what was found of its nodes, those of each group of nodes by themselves.

    Parameters
    ----------
    model, findings, hierarchy
        As in `judged`.
    group : callable
        Gives what a node is grouped by.
    """
    groups: dict[Group, Judgement] = {}
    for op in walk(model).ops:
        result = groups.setdefault(group(op.node), Judgement())
        result.nodes += 1
        tag, found = own_tag(props_of(op.node)), findings.truths[op.id]
        if found.candidates and not (op.id in findings.auxiliary and _shared(tag)):
            result.node(op, tag, found.candidates, hierarchy)
            result.inner += found.inner
            continue
        result.untestable[found.reason or findings.auxiliary[op.id]] += 1
        if op.id in findings.auxiliary:
            made, readers = findings.made_in[op.id], findings.read_by[op.id]
            result.beside(op, tag, made, readers, hierarchy)
    return groups


def _shared(tag: Tag | None) -> bool:
    return tag is not None and bool(tag.origins)
