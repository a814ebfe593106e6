"""Tags for the nodes of a file that a tool has changed: regions between tensors that both graphs have.

Tensors of the same name are cut points. The nodes of the new graph that are connected by tensors that the saved graph
does not have form a region; what the saved graph computes between the same cut points is what the region computes. Its
modules are the origins. Nodes that are known outright are `match`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import networkx as nx
import onnx

from onnx_tagger.errors import PassError
from onnx_tagger.graph import MAIN, Op, operator
from onnx_tagger.hierarchy import HierarchyMap, Merge
from onnx_tagger.metadata import Source, Tag
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.index import DataFlow, Flow
from onnx_tagger.passes.renames import NODES, TENSORS, called_after
from onnx_tagger.passes.replay import CapturedRun, place_by_run
from onnx_tagger.passes.saved import FamilyName, SavedGraphIndex, SavedIndex, family_of
from onnx_tagger.passes.sizes import OnlySizes
from onnx_tagger.passes.weights import Anchors, StoredWeights, WeightOwners

# Operators that change how a tensor is stored and not what it says.
CONVERTERS = frozenset(
    {"Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput"}
)

# Operators that tools drop without anything taking their place: nobody does their work.
NO_WORK = frozenset({"Identity", "Dropout"})

# Of a file that shares fewer of its tensors with the saved graph, weights and the captured run tell more than names: it
# was exported by other means, or all of it was renamed.
LEAST_SHARE = 0.1

# A region of more modules is no correspondence: its nodes are left to the passes that say so.
MOST_ORIGINS = 64


@dataclass(frozen=True)
class Align(Pass):
    """Tag what a tool has fused, renamed or inserted, from the saved graph's region that it replaces.

    Parameters
    ----------
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of several modules: that of the innermost module that encloses them,
        or that of the operation whose output survives. The origins are kept either way.
    weights : bool
        Whether nodes of which names and regions say nothing are laid beside the captured run, by the weights that they
        read.
    distrusted : collection of str
        Tensors of the main graph that are not what the saved graph calls so: no cut points. `verify` finds them.
    """

    name = "align"
    requires = (DataFlow, SavedGraphIndex, StoredWeights, WeightOwners, CapturedRun, OnlySizes)
    touches = Touches.TAGS

    merge: Merge = "enclosing"
    weights: bool = True
    distrusted: Collection[str] = ()

    def __post_init__(self) -> None:
        if self.merge not in ("enclosing", "output"):
            raise PassError(f"align: merge is {self.merge!r}, choose 'enclosing' or 'output'")

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree, before = ctx.hierarchy, len(ctx.tags)
        if tree is None:
            return 0
        index = ctx.get(SavedGraphIndex)
        by_run = self.weights and bool(tree.parameters)
        foreign = by_run and index is not None and _known_share(ctx, index) < LEAST_SHARE
        if index is not None and not foreign and before < len(ctx.ops):
            _Alignment(ctx, tree, index, ctx.get(DataFlow), self.merge, self.distrusted).place_all()
        if by_run and (index is None or foreign):
            place_by_run(ctx, tree, ctx.get(StoredWeights), self.merge)
            Anchors(ctx, tree, ctx.get(DataFlow), ctx.get(WeightOwners)).place()
        if (by_run or index is not None) and len(ctx.tags) < len(ctx.ops):
            _convert(ctx, tree, ctx.get(DataFlow))
        return len(ctx.tags) - before


@dataclass(frozen=True, slots=True)
class _Work:
    """What the saved graph computes for some outputs of a region.

    Attributes
    ----------
    nodes : frozenset of int
        Positions of the saved nodes.
    alike : dict
        Operator to the positions of its nodes, for operators of one module alone.
    tags : dict
        What `_tag_of` gives for all nodes (``""``) and for those of an operator, once it was asked for.
    """

    nodes: frozenset[int]
    alike: dict[str, list[int]]
    tags: dict[str, Tag | None] = field(default_factory=dict)


class _Alignment:
    """One file beside one saved graph."""

    def __init__(
        self,
        ctx: Context,
        tree: HierarchyMap,
        index: SavedIndex,
        flow: Flow,
        merge: Merge,
        distrusted: Collection[str] = (),
    ) -> None:
        self.ops, self.tags, self.tree, self.index = ctx.ops, ctx.tags, tree, index
        self.flow, self.merge = flow, merge
        self.nodes = index.graph.nodes
        # No family is called so: what is distrusted is no tensor of the saved graph.
        self.renamed = self._renamed() | {(MAIN, name): ("", name) for name in distrusted}
        self.alive = {self._key(family, name) for family, name in _names(ctx)}
        self.families = [scope.family for scope in ctx.walk.scopes]
        self.cones: dict[FamilyName, tuple[int, ...]] = {}

    def _key(self, family: str, name: str) -> FamilyName:
        """The saved tensor that a tensor is: of the same name, or the one that its maker is called after."""
        return self.renamed.get((family, name), (family, name))

    def _renamed(self) -> dict[FamilyName, FamilyName]:
        """Tensors of new names whose maker bears the name of a saved tensor, with what a tool put behind it."""
        found: dict[FamilyName, FamilyName] = {}
        for op in self.ops:
            for name in called_after(op.node.name, NODES):
                known = (op.scope.family, name)
                saved = self.index.by_output.get(known)
                made = self._made(op, saved, known) if saved is not None and op.node.output else None
                if made is not None:
                    found[op.scope.family, op.node.output[0]] = made
            for output in op.node.output if op.node.op_type not in CONVERTERS else ():
                for name in called_after(output, TENSORS):
                    if (op.scope.family, name) in self.index.by_output:
                        found[op.scope.family, output] = (op.scope.family, name)
        return found

    def _made(self, op: Op, saved: int, known: FamilyName) -> FamilyName | None:
        """The saved tensor that a node makes which is called after one: that, or what the node has taken in behind it.

        A blocked convolution takes the sum that follows in as a fourth input, and an activation as an attribute.
        """
        taken = ["Add"] if len(op.node.input) > _most_inputs(op.node) else []
        activation = next(
            (attribute.s.decode() for attribute in op.node.attribute if attribute.name == "activation"), ""
        )
        if activation and (taken or self.nodes[saved].op == op.node.op_type):
            taken.append(activation)
        for kind in taken:
            readers = [place for place in self.readers.get(known, ()) if self.nodes[place].op == kind]
            if len(readers) != 1 or len(self.nodes[readers[0]].outputs) != 1:
                return None
            known = (known[0], self.nodes[readers[0]].outputs[0])
        return known

    @cached_property
    def readers(self) -> dict[FamilyName, list[int]]:
        """Saved tensor to the positions of the nodes that read it."""
        found: dict[FamilyName, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for name in dict.fromkeys(node.inputs):
                found.setdefault((family_of(node.scope), name), []).append(place)
        return found

    def place_all(self) -> None:
        """Tag the converters, then region by region."""
        self.converters()
        for region in self.regions():
            self.place(region)

    def converters(self) -> None:
        """Inserted converters take the producer of the tensor that they convert."""
        for index in self.flow.order:
            op = self.ops[index]
            if op in self.tags or op.node.op_type not in CONVERTERS or not self.flow.inputs[index]:
                continue
            if any(self._key(op.scope.family, name) in self.index.by_output for name in op.node.output):
                continue
            key = self.flow.inputs[index][0]
            maker = self.flow.producer.get(key)
            tag = self.tags.get(self.ops[maker]) if maker is not None else None
            known = self._key(self.families[key[0]], key[1])
            saved = self.index.by_output.get(known)
            if saved is not None and self.nodes[saved].tag is not None:
                tag = self.nodes[saved].tag
            elif known[0] and tag is not None and maker is not None and self.ops[maker].node.op_type not in CONVERTERS:
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
                if maker in inside and self._key(self.families[key[0]], key[1]) not in self.index.by_output:
                    links.add_edge(maker, index)
        position = {index: place for place, index in enumerate(changed)}
        for group in nx.connected_components(links):
            yield sorted(group, key=position.__getitem__)

    def place(self, region: Sequence[int]) -> None:
        """Tag the ops of a region with the saved nodes whose work they do."""
        reached = self._reached(region)
        whole = frozenset().union(*set(reached.values()))
        works: dict[frozenset[FamilyName], _Work] = {}
        for index in region:
            op = self.ops[index]
            outputs = reached[index] or whole
            if outputs not in works:
                works[outputs] = self._work(outputs)
            self._place_one(op, works[outputs], alone=len(region) == 1)

    def _reached(self, region: Sequence[int]) -> dict[int, frozenset[FamilyName]]:
        """For each op of a region the tensors of the saved graph that its results go into.

        Not the saved nodes behind them: as a region grows, they would take time and memory with its square.
        """
        members = set(region)
        reached: dict[int, frozenset[FamilyName]] = {}
        same: dict[frozenset[FamilyName], frozenset[FamilyName]] = {}
        for index in reversed(region):
            op = self.ops[index]
            keys = (self._key(op.scope.family, name) for name in op.node.output)
            own = frozenset(key for key in keys if key in self.index.by_output)
            further = {reached[reader] for reader in self.flow.graph.succ[index] if reader in members}
            found = own.union(*further) if own or len(further) != 1 else further.pop()
            reached[index] = same.setdefault(found, found)
        return reached

    def _work(self, outputs: Iterable[FamilyName]) -> _Work:
        """The saved nodes that compute some tensors, back to tensors that still exist."""
        cones = frozenset(position for key in outputs for position in self._cone(key))
        nodes = frozenset(position for position in cones if self.nodes[position].op not in NO_WORK) or cones
        by_operator: dict[str, list[int]] = {}
        for position in nodes:
            by_operator.setdefault(self.nodes[position].op, []).append(position)
        alike = {kind: found for kind, found in by_operator.items() if len(set(map(self._module, found))) == 1}
        return _Work(nodes, alike)

    def _place_one(self, op: Op, work: _Work, alone: bool) -> None:
        """Tag an op with those of a region's saved nodes that it is, as far as name or operator tells."""
        named, kind = self._by_name(op), operator(op.node)
        if named is not None and (not work.nodes or (named in work.nodes and not alone)):
            self._tag(op, self._tag_of([named]))
            return
        key = kind if kind in work.alike and not alone else ""
        if key not in work.tags:
            work.tags[key] = self._tag_of(work.alike[key] if key else work.nodes)
        self._tag(op, work.tags[key])

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

    def _module(self, position: int) -> str | None:
        tag = self.nodes[position].tag
        return tag.module if tag is not None else None

    def _tag_of(self, saved: Iterable[int]) -> Tag | None:
        """The tag of a node that does the work of these saved nodes; None if none of them has one."""
        tags = [tag for i in saved if (tag := self.nodes[i].tag) is not None]
        if not tags:
            return None
        merged = self.tree.merged(tags, best=Source.ALIGNED)
        return merged if len(merged.origins) <= MOST_ORIGINS else None

    def _tag(self, op: Op, tag: Tag | None) -> None:
        if tag is None:
            return
        last = self._output_tag(op) if self.merge == "output" else None
        if last is not None and last.module != tag.module:
            # What is not the root's any more has not its source, either.
            source = min(tag.source, Source.INHERITED) if last.module else tag.source
            tag = self.tree.tag(last.module, max(source, last.source), tag.modules, tag.call)
        self.tags[op] = tag

    def _output_tag(self, op: Op) -> Tag | None:
        """The tag of the saved node whose output this op makes."""
        for name in op.node.output:
            saved = self.index.by_output.get(self._key(op.scope.family, name))
            if saved is not None:
                return self.nodes[saved].tag
        return None


def _convert(ctx: Context, tree: HierarchyMap, flow: Flow) -> None:
    """Give converters that are left the tags of what they convert: of its maker or, on a weight, of its readers."""
    left = [op for op in map(ctx.ops.__getitem__, flow.order) if op not in ctx.tags and op.node.op_type in CONVERTERS]
    stored: dict[Op, None] = {}
    for op in left:
        key = flow.inputs[op.id][0] if flow.inputs[op.id] else None
        maker = flow.producer.get(key) if key is not None else None
        tag = ctx.tags.get(ctx.ops[maker]) if maker is not None else None
        if tag is not None:
            ctx.tags[op] = tag.worse(Source.ALIGNED)
        elif key in flow.stored or (maker is not None and ctx.ops[maker] in stored):
            stored[op] = None
    for op in reversed(stored):
        readers = [ctx.tags.get(ctx.ops[reader]) for reader in flow.graph.succ[op.id]]
        known = [tag for tag in readers if tag is not None]
        if known and len(known) == len(readers):
            ctx.tags[op] = tree.merged(known, best=Source.ALIGNED)


def _known_share(ctx: Context, index: SavedIndex) -> float:
    """The share of the nodes that make a tensor of the saved graph; constants and converters count only if they do."""
    known = total = 0
    for op in ctx.ops:
        found = any((op.scope.family, name) in index.by_output for name in _names_of(op))
        known += found
        total += found or (op.node.op_type != "Constant" and op.node.op_type not in CONVERTERS)
    return known / total if total else 1.0


def _names_of(op: Op) -> Iterator[str]:
    """What may tell a node: its tensors, and what it and they are called after."""
    yield from op.node.output
    yield from called_after(op.node.name, NODES)
    for name in op.node.output:
        yield from called_after(name, TENSORS)


def _most_inputs(node: onnx.NodeProto) -> float:
    """How many inputs the standard's operator of a node's name takes at most."""
    return onnx.defs.get_schema(node.op_type).max_input if onnx.defs.has(node.op_type) else inf


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
