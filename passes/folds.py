"""Modules whose weights were folded into those of the module before: a normalisation after a convolution."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from math import prod

import onnx

from onnx_tagger.digest import value_digests
from onnx_tagger.graph import Op
from onnx_tagger.hierarchy import HierarchyMap, Merge
from onnx_tagger.metadata import Source
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.index import Flow
from onnx_tagger.passes.weights import LEAST_VALUES


def add_folded(
    ctx: Context, tree: HierarchyMap, flow: Flow, owners: Mapping[str, frozenset[str]], merge: Merge
) -> None:
    """Give the nodes that took a module in that module as an origin.

    A module was folded if it ran and owns parameters of which the file holds none. The node that took it in is of the
    module that ran just before, and reads weights that no longer are that module's.

    Parameters
    ----------
    ctx : Context
    tree : HierarchyMap
    flow : Flow
    owners : mapping
        From `WeightOwners`.
    merge : "enclosing" or "output"
        Whose tag such a node gets; the folded module's output is what survives.
    """
    before = _before(tree, {path for paths in owners.values() for path in paths})
    if not before:
        return
    own: dict[str, set[str]] = {}
    for parameter in tree.parameters:
        own.setdefault(parameter.owner, set()).add(parameter.digests[0])
    tensors = {tensor.name: tensor for tensor in ctx.model.graph.initializer}
    for op in ctx.ops:
        tag = ctx.tags.get(op)
        folded = before.get(tag.module) if tag is not None and not tag.origins else None
        if tag is None or folded is None or not _changed(op, own.get(tag.module, set()), ctx, flow, tensors):
            continue
        ctx.tags[op] = tree.merged([tag, tree.tag(folded, Source.ALIGNED)], merge)


def _before(tree: HierarchyMap, present: set[str]) -> dict[str, str]:
    """Module that ran just before to the module that was folded."""
    owners = {parameter.owner for parameter in tree.parameters}
    ran = sorted((module.order, module.path) for module in tree.modules if module.order is not None and module.tag)
    paths = [path for _, path in ran]
    return {
        earlier: path
        for earlier, path in itertools.pairwise(paths)
        if path in owners and path not in present and not tree.encloses(earlier, path)
    }


def _changed(
    op: Op,
    own: set[str],
    ctx: Context,
    flow: Flow,
    tensors: dict[str, onnx.TensorProto],
) -> bool:
    """Whether a node reads weights, and none of them has the values that its module's parameters have."""
    compared = 0
    for place, name in flow.inputs[op.id]:
        tensor = tensors.get(name) if place == 0 else None
        if tensor is None or prod(tensor.dims) < LEAST_VALUES:
            continue
        values = ctx.read_values(tensor)
        if values is None:
            continue
        if value_digests(values)[0] in own:
            return False
        compared += 1
    return compared > 0
