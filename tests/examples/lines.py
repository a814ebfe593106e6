"""Graphs written as lines, ``name: Op x w -> y @module``, and what aligning a changed one with a saved one finds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from onnx_tagger.hierarchy.digest import value_digests
from onnx_tagger.hierarchy.map import HierarchyMap, Merge, Parameter, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import operator, walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

Array = npt.NDArray[np.float32]

TREE = HierarchyMap.from_rows([ModuleRow(path, "M") for path in ("", "a", "a.x", "a.y", "a.y.deep", "b", "b.z")])
PATHS = sorted(TREE.by_path)

Result = dict[str, tuple[str, str, tuple[str, ...]]]


def parse(text: str) -> list[onnx.NodeProto]:
    """Make nodes of lines such as ``name: Op x w -> y``; the name and what follows ``@`` may be missing."""
    nodes = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        head, _, outputs = line.partition("@")[0].partition("->")
        name, _, call = head.rpartition(":")
        op, *inputs = call.split()
        domain, _, kind = op.rpartition("/")
        nodes.append(helper.make_node(kind, inputs, outputs.split(), name, domain=domain))
    return nodes


def modules(text: str) -> list[str | None]:
    found = [line.partition("@") for line in filter(None, map(str.strip, text.split("\n")))]
    return [path.strip() if at else None for _, at, path in found]


def model(text: str, inputs: str = "in", stored: str = "w b") -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, 1, [1]) for name in inputs.split()]
    weights = [helper.make_tensor(name, 1, [1], [1.0]) for name in stored.split()]
    return helper.make_model(helper.make_graph(parse(text), "g", values, [], weights))


def map_of(
    made: onnx.ModelProto,
    paths: list[str | None],
    source: Source = Source.EXPORTED,
    parameters: Mapping[str, Array] | None = None,
) -> HierarchyMap:
    """The map of a graph of lines; parameters belong to the module that their name begins with."""
    nodes = [
        SavedNode(
            op.scope.name,
            op.node.name,
            operator(op.node),
            tuple(op.node.input),
            tuple(op.node.output),
            TREE.tag(path, source) if path is not None else None,
        )
        for op, path in zip(walk(made).ops, paths, strict=True)
    ]
    stored: dict[str, tuple[str, ...]] = {tensor.name: () for tensor in made.graph.initializer}
    known = tuple(
        Parameter(name, name.rpartition(".")[0], values.shape, str(values.dtype), value_digests(values))
        for name, values in (parameters or {}).items()
    )
    outputs = tuple(value.name for value in made.graph.output)
    return HierarchyMap(TREE.modules, known, SavedGraph(nodes, ("in",), outputs, stored))


def aligned(ctx: Context) -> Result:
    """What is known of each node, by its name or operator."""
    return {
        op.node.name or op.node.op_type: (tag.module, tag.source.label, tag.origins)
        for op in ctx.ops
        if (tag := ctx.tags.get(op)) is not None
    }


def align(
    saved: str,
    changed: str,
    merge: Merge = "enclosing",
    source: Source = Source.EXPORTED,
    weights: str = "w b",
    **names: str,
) -> Result:
    """Align a changed graph with a saved one whose lines end with ``@module``; results by node name or operator.

    `weights` are the saved graph's stored tensors, `stored` the changed one's.
    """
    tree = map_of(model(saved, stored=weights), modules(saved), source)
    ctx = PassManager([Match(), Align(merge=merge)], verify=True).run_in(Context(model(changed, **names), tree))
    return aligned(ctx)
