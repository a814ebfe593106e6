"""What is known outright: the same node in the saved map, our own keys, torch's keys, TorchScript scopes, dialects.

Nothing is inferred here. Where several carriers speak, the order above decides, and a contradiction is reported.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.carriers import known_tag, tag_of_claim, tag_of_scope_name, with_folded
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.dialects import READABLE, Claim, claim_of_modules, claims
from onnx_tagger.model.evidence import Evidence, written_evidence
from onnx_tagger.model.graph import MAIN, Op, operator
from onnx_tagger.model.metadata import TAG, Source, Tag, own_tag, props_of
from onnx_tagger.passes.analyses.notes import OWN, SILENT, NodeNotes, Notes
from onnx_tagger.passes.analyses.saved import SameNodes, SavedGraphIndex, SavedIndex
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.scopes import ScopeNames

_MAX_NOTES = 5


@dataclass(frozen=True)
class Match(Pass):
    """Tag the nodes of which some carrier says outright where they come from.

    Parameters
    ----------
    fresh : bool
        The model is the very graph that the map was made of, node by node: tags keep the source `exported`.
    dialects : tuple of str
        Foreign carriers to read, the most believable first.
    own : bool
        Whether our own keys are read.
    saved : bool
        Whether the map's saved graph and the node's name are read.
    distrusted : collection of str
        Tensors of the main graph that are not what the saved graph calls so.

    Raises
    ------
    MapError
        With `fresh`, if the graphs differ.
    """

    name = "match"
    requires = (SavedGraphIndex, SameNodes, NodeNotes, ScopeNames)
    touches = Touches.TAGS

    fresh: bool = False
    dialects: tuple[str, ...] = READABLE
    own: bool = True
    saved: bool = True
    distrusted: Collection[str] = ()

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree = ctx.hierarchy
        if tree is None:
            return 0
        before = len(ctx.tags)
        if self.fresh:
            _copy_fresh(ctx, tree)
            return len(ctx.tags) - before
        index = ctx.get(SavedGraphIndex)
        matched = _Matched(ctx, index) if self.saved and index is not None else None
        notes = ctx.get(NodeNotes)
        carriers = _Carriers(notes, tree, self.dialects, own=self.own)
        kinds, tags, distrusted = notes.kinds, ctx.tags, self.distrusted
        conflicts: list[str] = []
        for op in ctx.ops:
            if op in tags:
                continue
            renamed = distrusted and op.scope.family == MAIN and any(name in distrusted for name in op.node.output)
            saved = matched.tag(op) if matched is not None and not renamed else None
            said = carriers.tag(op) if kinds[op.id] else None
            tag = saved or said
            if tag is None and self.saved:
                tag = ctx.get(ScopeNames).get(op.id) if index is None else _scope_named(op, tree, index)
            if tag is None:
                continue
            tags[op] = tag
            if saved is None and (rests := _stated(op, tag)) is not None:
                ctx.evidence[op] = rests
            if saved is not None and said is not None and not set(saved.modules) & set(said.modules):
                conflicts.append(f"{op.label}: the map says {saved.module!r}, the node {said.module!r}")
        _note(ctx, conflicts)
        return len(tags) - before


class _Carriers:
    """What the nodes' own metadata says."""

    def __init__(self, notes: Notes, tree: HierarchyMap, dialects: tuple[str, ...], *, own: bool) -> None:
        self.kinds, self.tree, self.dialects, self.own = notes.kinds, tree, dialects, own
        # Torch is asked first, as a rule; what it says is looked up once for all nodes of a module.
        self.modules = notes.modules if dialects[:1] == ("torch",) else {}
        self.by_modules: dict[str, Tag | None] = {}

    def tag(self, op: Op) -> Tag | None:
        kind = self.kinds[op.id]
        if kind == OWN and self.own:
            tag = own_tag(props_of(op.node))
            if tag is not None and (known := known_tag(tag, self.tree)) is not None:
                return known
        modules = self.modules.get(op.id)
        if modules is not None:
            if modules not in self.by_modules:
                self.by_modules[modules] = self._resolved(claim_of_modules(modules))
            found = self.by_modules[modules]
            if found is not None:
                return with_folded(op, found, self.tree)
            if kind == SILENT:
                return None
        for claim in claims(op.node, self.dialects):
            if (tag := self._resolved(claim)) is not None:
                return with_folded(op, tag, self.tree) if claim.carrier == "torch" else tag
        return None

    def _resolved(self, claim: Claim | None) -> Tag | None:
        return tag_of_claim(claim, self.tree) if claim is not None else None


def _copy_fresh(ctx: Context, tree: HierarchyMap) -> None:
    nodes = tree.graph.nodes if tree.graph is not None else ()
    if len(nodes) != len(ctx.ops):
        raise MapError(f"the map holds {len(nodes)} nodes, the model {len(ctx.ops)}: it is not of this very graph")
    for op, node in zip(ctx.ops, nodes, strict=True):
        if node.op != operator(op.node) or node.outputs != tuple(op.node.output):
            raise MapError(f"{op.label} is not the map's node {node.name!r}: the map is not of this very graph")
        if node.tag is not None:
            ctx.tags[op] = node.tag


class _Matched:
    """The tags of nodes that are in the saved graph as they are."""

    def __init__(self, ctx: Context, index: SavedIndex) -> None:
        self.nodes, self.places = index.graph.nodes, ctx.get(SameNodes)
        # Nodes of one module share their tag; it lives as long as the saved graph.
        self.known: dict[int, Tag] = {}

    def tag(self, op: Op) -> Tag | None:
        place = self.places[op.id]
        tag = self.nodes[place].tag if place >= 0 else None
        if tag is None:
            return None
        found = self.known.get(id(tag))
        if found is None:
            found = self.known[id(tag)] = tag.worse(Source.MATCHED)
        return found


def _stated(op: Op, tag: Tag) -> Evidence | None:
    """What a tag rests on that the node itself tells; None where its source says it."""
    if any(entry.key == TAG for entry in op.node.metadata_props):
        return written_evidence(op.node)
    return Evidence.STATED if tag.source is Source.MATCHED else None


def _scope_named(op: Op, tree: HierarchyMap, index: SavedIndex) -> Tag | None:
    """The tag that a node's name spells, unless the saved graph knows the name: then it knows more than that says."""
    return tag_of_scope_name(op, tree) if op.node.name not in index.named.get(op.scope.family, ()) else None


def _note(ctx: Context, conflicts: list[str]) -> None:
    """Report contradictions: how many, and the first of them."""
    if conflicts:
        more = f" and {len(conflicts) - _MAX_NOTES} more" if len(conflicts) > _MAX_NOTES else ""
        ctx.report.fallbacks.append("carriers contradict each other: " + "; ".join(conflicts[:_MAX_NOTES]) + more)
