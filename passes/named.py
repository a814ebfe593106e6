"""What a file's own names say: node names, names of tensors, doc strings, names of parameters.

It is for files of which nothing else is known; where there is a map of the model, `Match` and `Align` know better.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onnx_tagger.hierarchy.inferred.tree import Inferred, infer_tree
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import MAIN, Op
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.analyses.weights import Anchors
from onnx_tagger.passes.base import Analysis, Context, Pass, Touches


class OwnNames(Analysis[Inferred | None]):
    """What the names of a file say, together; None if they say nothing."""

    reads = Touches.TOPOLOGY

    def compute(self, ctx: Context) -> Inferred | None:
        """Read the module tree off the names."""
        return infer_tree(ctx.model, ctx.walk)


@dataclass(frozen=True)
class Named(Pass):
    """Tag the nodes whose own names say a module, then those that read a parameter whose name does.

    A node of several names that disagree, such as a fused one, does the work of all of these modules. A parameter that
    nodes of several modules read says nothing: exporters store one of several equal ones.
    """

    name = "named"
    requires = (OwnNames, DataFlow)
    touches = Touches.TAGS

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree = ctx.hierarchy
        found = ctx.get(OwnNames) if tree is not None else None
        if tree is None or found is None:
            return 0
        before = len(ctx.tags)
        made: dict[tuple[str, ...], Tag | None] = {}
        for op in ctx.ops:
            said = found.modules[op.id]
            if op in ctx.tags or not said:
                continue
            if said not in made:
                made[said] = _tag(said, tree)
            tag = made[said]
            if tag is not None:
                ctx.tags[op] = tag
        owners = _believable(found.owners, ctx, tree)
        Anchors(ctx, tree, ctx.get(DataFlow), owners, Source.NAMED).place()
        return len(ctx.tags) - before


def _tag(said: Iterable[str], tree: HierarchyMap) -> Tag | None:
    """The tag of a node whose names say these modules."""
    known = [path for path in (_tagged(path, tree) for path in said) if path is not None]
    return tree.tag(tree.enclosing(known), Source.NAMED, known) if known else None


def _tagged(path: str, tree: HierarchyMap) -> str | None:
    """The module of a path, or the one around it where that is a list."""
    module = tree.resolve(path)
    while module is not None and module.tag is None and module.path:
        module = tree.by_path.get(module.parent or "")
    return module.path if module is not None and module.tag is not None else None


def _believable(owners: Mapping[str, str], ctx: Context, tree: HierarchyMap) -> dict[str, frozenset[str]]:
    """Parameters that one node alone reads, or that only nodes of the module in their name do, with that module."""
    readers: dict[str, list[Op]] = defaultdict(list)
    for op in ctx.ops:
        if op.scope.family == MAIN:
            for name in op.node.input:
                if name in owners:
                    readers[name].append(op)
    found = {}
    for name, owner in owners.items():
        path = _tagged(owner, tree)
        alone = len(readers[name]) == 1
        if path and (alone or all(op in ctx.tags and path in ctx.tags[op].modules for op in readers[name])):
            found[name] = frozenset({path})
    return found
