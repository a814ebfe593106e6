"""Tags for the nodes of a file that a tool has changed: regions between tensors that both graphs have.

Tensors of the same name are cut points. The nodes of the new graph that are connected by tensors that the saved graph
does not have form a region; what the saved graph computes between the same cut points is what the region computes. Its
modules are the origins. Nodes that are known outright are `match`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import networkx as nx

from onnx_tagger.errors import PassError
from onnx_tagger.graph import Op, operator
from onnx_tagger.hierarchy import HierarchyMap, SavedNode
from onnx_tagger.metadata import Source, Tag
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.folds import add_folded
from onnx_tagger.passes.index import DataFlow, Flow
from onnx_tagger.passes.saved import FamilyName, SavedGraphIndex, SavedIndex
from onnx_tagger.passes.weights import LEAST_VALUES, Anchors, WeightOwners

Merge = Literal["enclosing", "output"]

# Operators that change how a tensor is stored and not what it says.
CONVERTERS = frozenset(
    {"Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput"}
)


@dataclass(frozen=True)
class Align(Pass):
    """Tag what a tool has fused, renamed or inserted, from the saved graph's region that it replaces.

    Parameters
    ----------
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of several modules: that of the innermost module that encloses them,
        or that of the operation whose output survives. The origins are kept either way.
    weights : bool
        Whether nodes are tagged by the weights that they read, if the map holds no graph.
    """

    name = "align"
    requires = (DataFlow, SavedGraphIndex, WeightOwners)
    touches = Touches.TAGS

    merge: Merge = "enclosing"
    weights: bool = True

    def __post_init__(self) -> None:
        if self.merge not in ("enclosing", "output"):
            raise PassError(f"align: merge is {self.merge!r}, choose 'enclosing' or 'output'")

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree, before = ctx.hierarchy, len(ctx.tags)
        if tree is None:
            return 0
        index = ctx.get(SavedGraphIndex)
        if index is not None and before < len(ctx.ops):
            alignment = _Alignment(ctx, tree, index, ctx.get(DataFlow), self.merge)
            alignment.converters()
            for region in alignment.regions():
                alignment.place(region)
        if self.weights and index is None and tree.parameters:
            owners = ctx.get(WeightOwners)
            Anchors(ctx, tree, ctx.get(DataFlow), owners).place()
            add_folded(
                ctx, tree, ctx.get(DataFlow), {path for paths in owners.values() for path in paths}, LEAST_VALUES
            )
        return len(ctx.tags) - before


class _Alignment:
    """One file beside one saved graph."""

    def __init__(self, ctx: Context, tree: HierarchyMap, index: SavedIndex, flow: Flow, merge: Merge) -> None:
        self.ops, self.tags, self.tree, self.index = ctx.ops, ctx.tags, tree, index
        self.flow, self.merge = flow, merge
        self.nodes = index.graph.nodes
        self.alive = _names(ctx)
        self.families = [scope.family for scope in ctx.walk.scopes]
        self.cones: dict[FamilyName, tuple[int, ...]] = {}

    def converters(self) -> None:
        """Inserted converters take the producer of the tensor that they convert."""
        for index in self.flow.order:
            op = self.ops[index]
            if op in self.tags or op.node.op_type not in CONVERTERS or not self.flow.inputs[index]:
                continue
            if any((op.scope.family, name) in self.index.by_output for name in op.node.output):
                continue
            key = self.flow.inputs[index][0]
            maker = self.flow.producer.get(key)
            tag = self.tags.get(self.ops[maker]) if maker is not None else None
            saved = self.index.by_output.get((self.families[key[0]], key[1]))
            if saved is not None and self.nodes[saved].tag is not None:
                tag = self.nodes[saved].tag
            elif tag is not None and maker is not None and self.ops[maker].node.op_type not in CONVERTERS:
                tag = None
            if tag is not None:
                self.tags[op] = tag.worse(Source.ALIGNED)

    def regions(self) -> Iterable[list[int]]:
        """Untagged ops, grouped by the tensors that only the new graph has; each group in topological order."""
        changed = [index for index in self.flow.order if self.ops[index] not in self.tags]
        inside = set(changed)
        links: nx.Graph[int] = nx.Graph()
        links.add_nodes_from(changed)
        for index in changed:
            for key in self.flow.inputs[index]:
                maker = self.flow.producer.get(key)
                if maker in inside and (self.families[key[0]], key[1]) not in self.index.by_output:
                    links.add_edge(maker, index)
        position = {index: place for place, index in enumerate(changed)}
        for group in nx.connected_components(links):
            yield sorted(group, key=position.__getitem__)

    def place(self, region: Sequence[int]) -> None:
        """Tag the ops of a region with the saved nodes whose work they do."""
        members = set(region)
        work: dict[int, set[int]] = {}
        for index in reversed(region):
            op = self.ops[index]
            found: set[int] = set()
            for name in op.node.output:
                found.update(self._cone((op.scope.family, name)))
            for reader in self.flow.graph.succ[index]:
                if reader in members:
                    found |= work[reader]
            work[index] = found
        whole = set().union(*work.values())
        for index in region:
            op = self.ops[index]
            candidates = work[index] or whole
            if candidates:
                self._tag(op, self._narrow(op, candidates, alone=len(region) == 1))
            elif (saved := self._by_name(op)) is not None:
                self._tag(op, [saved])

    def _cone(self, out: FamilyName) -> tuple[int, ...]:
        """Saved nodes from a tensor back to tensors that still exist, the maker of the tensor first."""
        start = self.index.by_output.get(out)
        if start is None:
            return ()
        if out not in self.cones:
            family = out[0]
            seen, stack = {start: None}, [start]
            while stack:
                for name in self.nodes[stack.pop()].inputs:
                    key = (family, name)
                    maker = None if key in self.alive else self.index.by_output.get(key)
                    if maker is not None and maker not in seen:
                        seen[maker] = None
                        stack.append(maker)
            self.cones[out] = tuple(seen)
        return self.cones[out]

    def _by_name(self, op: Op) -> int | None:
        """The saved node of the same name and operator."""
        saved = self.index.by_name.get((op.scope.family, op.node.name))
        return saved if saved is not None and self.nodes[saved].op == operator(op.node) else None

    def _narrow(self, op: Op, candidates: set[int], alone: bool) -> list[int]:
        """Those of a region's saved nodes that this op is, as far as name or operator tells."""
        if not alone:
            named = self._by_name(op)
            if named in candidates:
                return [named] if named is not None else []
            kind = [i for i in candidates if self.nodes[i].op == operator(op.node)]
            if len({self._module(self.nodes[i]) for i in kind}) == 1:
                return kind
        return sorted(candidates)

    @staticmethod
    def _module(node: SavedNode) -> str | None:
        return node.tag.module if node.tag is not None else None

    def _tag(self, op: Op, saved: Iterable[int]) -> None:
        tags = [tag for i in saved if (tag := self.nodes[i].tag) is not None]
        if not tags:
            return
        origins = {path for tag in tags for path in tag.modules}
        module = self.tree.enclosing(origins)
        if self.merge == "output" and (last := self._output_tag(op)) is not None:
            module = last.module
        source = max(Source.ALIGNED, *(tag.source for tag in tags))
        calls = tuple(sorted({call for tag in tags for call in tag.call}))
        self.tags[op] = self.tree.tag(module, source, origins, calls)

    def _output_tag(self, op: Op) -> Tag | None:
        """The tag of the saved node whose output this op makes."""
        for name in op.node.output:
            saved = self.index.by_output.get((op.scope.family, name))
            if saved is not None:
                return self.nodes[saved].tag
        return None


def _names(ctx: Context) -> set[FamilyName]:
    """Every tensor name of the new graph with its family."""
    found: set[FamilyName] = set()
    for scope in ctx.walk.scopes:
        family = scope.family
        found.update((family, name) for name in scope.input_names)
        found.update((family, name) for name in scope.initializer_names)
        for op in scope.ops:
            found.update((family, name) for name in op.node.output)
    return found
