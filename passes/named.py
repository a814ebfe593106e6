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

    A node of several names that disagree, such as a fused one, does the work of all of these modules. Where a name
    cannot be the whole truth the module around it is taken: a convolution whose weights the exporter has changed has a
    normalisation folded into it. A parameter that nodes of several modules read says nothing, since exporters store one
    of several equal ones.
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
        names = _Names(ctx, tree, found)
        names.own()
        owners = names.believable()
        Anchors(ctx, tree, ctx.get(DataFlow), owners, Source.NAMED).place()
        names.products(owners)
        return len(ctx.tags) - before


class _Names:
    """What the names of one model come to."""

    def __init__(self, ctx: Context, tree: HierarchyMap, found: Inferred) -> None:
        self.ops, self.tags, self.tree, self.found = ctx.ops, ctx.tags, tree, found
        self.dims = {tensor.name: tuple(tensor.dims) for tensor in ctx.model.graph.initializer}
        self.readers: dict[str, list[Op]] = defaultdict(list)
        for op in ctx.ops:
            if op.scope.family == MAIN:
                for name in dict.fromkeys(op.node.input):
                    self.readers[name].append(op)

    def own(self) -> None:
        """Tag the nodes whose own names say a module."""
        made: dict[tuple[tuple[str, ...], int], Tag | None] = {}
        for op in self.ops:
            said = self.found.modules[op.id]
            if op in self.tags or not said:
                continue
            key = said, self._unsaid(op) if len(said) == 1 else 0
            if key not in made:
                made[key] = self._tag(*key)
            tag = made[key]
            if tag is not None:
                self.tags[op] = tag

    def _tag(self, said: Iterable[str], out: int) -> Tag | None:
        """The tag of a node whose names say these modules; `out` levels further out if they do not say all."""
        known = [path for path in map(self._tagged, said) if path is not None]
        if not known:
            return None
        module = self.tree.enclosing(known)
        if out:
            return self.tree.tag(self._around(module, out), Source.NAMED)
        return self.tree.tag(module, Source.NAMED, known)

    def _around(self, path: str, out: int) -> str:
        return self.tree.chain(path)[-1 - out :][0]

    def _unsaid(self, op: Op) -> int:
        """How many other modules a node does work of that its name does not say; each may lie a level further out."""
        return self._is_folded(op) + _is_activated(op) + _is_added_to(op)

    def _tagged(self, path: str) -> str | None:
        """The module of a path, or the one around it where that is a list."""
        module = self.tree.resolve(path)
        while module is not None and module.tag is None and module.path:
            module = self.tree.by_path.get(module.parent or "")
        return module.path if module is not None and module.tag is not None else None

    def _is_folded(self, op: Op) -> bool:
        """Whether a convolution reads weights that a tool has made, where others have parameters' names."""
        if op.node.op_type not in _CONVOLUTIONS or not self.found.owners:
            return False
        weight, *rest = [name for name in op.node.input[1:] if name in self.dims] or [""]
        # A tool that makes a bias calls it after the weight.
        return any(name not in self.found.owners for name in (weight, *rest) if name) or any(
            name.startswith(f"{weight}_") for name in rest
        )

    def believable(self) -> dict[str, frozenset[str]]:
        """Parameters that one node alone reads, or only nodes of the module in their name, with that module."""
        turned = {
            self.dims[name][::-1]
            for op in self.ops
            if op.node.op_type == "MatMul" and op.scope.family == MAIN
            for name in op.node.input
            if name in self.dims and name not in self.found.owners
        }
        found = {}
        for name, owner in self.found.owners.items():
            path, readers = self._tagged(owner), self.readers.get(name, ())
            if not path:
                continue
            if any(op.node.op_type == "Gather" for op in readers) and self.dims.get(name) in turned:
                # The table is stored once more, turned, for a product: it is shared, and its name one of several.
                continue
            if len(readers) == 1 or all(op in self.tags and path in self.tags[op].modules for op in readers):
                found[name] = frozenset({self._around(path, max(map(self._unsaid, readers), default=0))})
        return found

    def products(self, owners: Mapping[str, frozenset[str]]) -> None:
        """Tag the products with a stored matrix of no name to which nothing but a module's bias is added."""
        for op in self.ops:
            if op in self.tags or op.node.op_type != "MatMul" or self.dims.keys().isdisjoint(op.node.input):
                continue
            readers = self.readers.get(op.node.output[0], ())
            if len(readers) != 1 or readers[0].node.op_type != "Add" or readers[0] not in self.tags:
                continue
            tag = self.tags[readers[0]]
            if any(tag.module in owners.get(name, ()) for name in readers[0].node.input):
                self.tags[op] = tag


_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "FusedConv"})


def _is_added_to(op: Op) -> bool:
    """Whether a runtime has fused an addition into a convolution, whose other summand is its fourth input."""
    return op.node.op_type in _CONVOLUTIONS and len(op.node.input) > 3 and bool(op.node.domain)


def _is_activated(op: Op) -> bool:
    """Whether a runtime has fused an activation into a node, of which its name says nothing."""
    return any(attribute.name == "activation" for attribute in op.node.attribute) and bool(op.node.domain)
