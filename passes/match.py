"""What is known outright: the same node in the saved map, our own keys, torch's keys, TorchScript scopes, dialects.

Nothing is inferred here. Where several carriers speak, the order above decides, and a contradiction is reported.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.dialects import READABLE, Claim, claim_of_modules, claims
from onnx_tagger.model.graph import MAIN, Op, operator
from onnx_tagger.model.metadata import MAX_PARTS, Source, Tag, own_tag, props_of
from onnx_tagger.passes.analyses.notes import OWN, SILENT, NodeNotes, Notes
from onnx_tagger.passes.analyses.saved import SameNodes, SavedGraphIndex, SavedIndex
from onnx_tagger.passes.base import Context, Pass, Touches

# How believable a foreign carrier's word is: torch's keys come from the exporter itself.
_CARRIER_SOURCE = {"torch": Source.EXPORTED}

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
    requires = (SavedGraphIndex, SameNodes, NodeNotes)
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
            tag = saved or said or (_from_scope_name(op, tree) if self.saved and not _is_named(op, index) else None)
            if tag is None:
                continue
            tags[op] = tag
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
            if tag is not None and (known := _known(tag, self.tree)) is not None:
                return known
        modules = self.modules.get(op.id)
        if modules is not None:
            if modules not in self.by_modules:
                self.by_modules[modules] = self._resolved(claim_of_modules(modules))
            found = self.by_modules[modules]
            if found is not None or kind == SILENT:
                return found
        resolved = map(self._resolved, claims(op.node, self.dialects))
        return next((tag for tag in resolved if tag is not None), None)

    def _resolved(self, claim: Claim | None) -> Tag | None:
        path = resolve_claim(claim, self.tree) if claim is not None else None
        if claim is None or path is None:
            return None
        return self.tree.tag(path, _CARRIER_SOURCE.get(claim.carrier, Source.MATCHED))


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


def _is_named(op: Op, index: SavedIndex | None) -> bool:
    """Whether the saved graph knows a node by name: then it knows more than the name says."""
    return index is not None and op.node.name in index.named.get(op.scope.family, ())


def _known(tag: Tag, tree: HierarchyMap) -> Tag | None:
    """A tag read from our own keys, if the map knows its module and its origins."""
    module = tree.resolve(tag.module)
    if module is None or module.tag is None:
        return None
    origins = [found.path for path in tag.origins if (found := tree.resolve(path)) is not None]
    if len(origins) < len(tag.origins):
        return None
    return tree.tag(module.path, tag.source, origins, tag.call)


def resolve_claim(claim: Claim, tree: HierarchyMap) -> str | None:
    """The tagged module that a foreign carrier means, or None if the map has none."""
    module = None
    if claim.module is not None:
        module = tree.resolve(claim.module)
        while module is not None and module.tag is None and module.path:
            module = tree.by_path.get(module.parent or "")
    elif claim.tag is not None:
        module = tree.by_tag.get(claim.tag)
    return module.path if module is not None and module.tag is not None else None


def _from_scope_name(op: Op, tree: HierarchyMap) -> Tag | None:
    """The module that a TorchScript node name spells, ``/encoder/layer.0/query/MatMul``, if the tree has it.

    The name is believed only if it ends with the operator and every part leads from a module to one of its
    descendants; ``layer.0`` is the child ``0`` of the container ``layer``.
    """
    name = op.node.name
    if not name.startswith("/") or max(name.count("/"), name.count(".")) > MAX_PARTS:
        return None
    *parts, last = name[1:].split("/")
    stem, _, number = last.rpartition("_")
    if last != op.node.op_type and not (stem == op.node.op_type and number.isdigit()):
        return None
    path = ""
    for part in parts:
        below = _step(path, part, tree)
        if below is None:
            return None
        path = below
    module = tree.by_path[path]
    return tree.tag(path, Source.MATCHED) if module.tag is not None else None


def _step(path: str, part: str, tree: HierarchyMap) -> str | None:
    """The module below `path` that one part of a scope means, which may end with the number of a second call."""
    found = _below(path, part, tree)
    stem, _, number = part.rpartition("_")
    return _below(path, stem, tree) if found is None and number.isdigit() else found


def _below(path: str, part: str, tree: HierarchyMap) -> str | None:
    """The module below `path` that has this path from the last attribute that is no number.

    The part may repeat what `path` already says: below ``seq.2``, the part ``seq.2.0`` is the child ``0``.
    """
    if not part:
        return None
    atoms = part.split(".")
    for skip in range(len(atoms)):
        module = tree.resolve(".".join([path, *atoms[skip:]] if path else atoms[skip:]))
        if module is not None and _unqualified(module.path) == part:
            return module.path
    return None


def _unqualified(path: str) -> str:
    """A module path from its last attribute that is no number, as TorchScript scopes spell it."""
    atoms = path.split(".")
    start = next((i for i in reversed(range(len(atoms))) if not atoms[i].isnumeric()), 0)
    return ".".join(atoms[start:])


def _note(ctx: Context, conflicts: list[str]) -> None:
    """Report contradictions: how many, and the first of them."""
    if conflicts:
        more = f" and {len(conflicts) - _MAX_NOTES} more" if len(conflicts) > _MAX_NOTES else ""
        ctx.report.fallbacks.append("carriers contradict each other: " + "; ".join(conflicts[:_MAX_NOTES]) + more)
