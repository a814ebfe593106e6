"""The saved graph of a map, indexed: which saved node has this name, which makes this tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from onnx_tagger.graph import FUNCTION_PREFIX, MAIN
from onnx_tagger.hierarchy import SavedGraph
from onnx_tagger.passes.base import Analysis, Context, Touches

FamilyName = tuple[str, str]


def family_of(scope: str) -> str:
    """The outermost scope of a saved scope name.

    Examples
    --------
    >>> family_of("main/If_3.then_branch"), family_of("function:my/domain.f"), family_of("main")
    ('main', 'function:my/domain.f', 'main')
    """
    if scope.startswith(FUNCTION_PREFIX):
        return scope
    return MAIN if scope == MAIN or scope.startswith(MAIN + "/") else scope


@dataclass(frozen=True, slots=True)
class SavedIndex:
    """Look-ups in a saved graph; what is not unique is not in them.

    Attributes
    ----------
    graph : SavedGraph
    by_output : dict
        (family of scopes, tensor name) to the position of the node that makes it.
    by_name : dict
        (family of scopes, node name) to the position of the one node of that name.
    captured : dict
        Position of each node that has bodies to the tensors around it that these read.
    """

    graph: SavedGraph
    by_output: dict[FamilyName, int]
    by_name: dict[FamilyName, int]
    captured: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def reads(self, position: int) -> tuple[str, ...]:
        """The tensors that a node takes, in its bodies, too."""
        inputs = self.graph.nodes[position].inputs
        return (*inputs, *self.captured[position]) if position in self.captured else inputs


class SavedGraphIndex(Analysis["SavedIndex | None"]):
    """Indexes the map's graph; None if there is no map or it holds no graph."""

    reads = Touches.NOTHING

    def compute(self, ctx: Context) -> SavedIndex | None:
        """Index the saved graph in one sweep."""
        graph = ctx.hierarchy.graph if ctx.hierarchy is not None else None
        if graph is None:
            return None
        families = {scope: family_of(scope) for scope in {node.scope for node in graph.nodes}}
        outputs = (
            ((families[node.scope], name), position)
            for position, node in enumerate(graph.nodes)
            for name in node.outputs
            if name
        )
        names = (
            ((families[node.scope], node.name), position) for position, node in enumerate(graph.nodes) if node.name
        )
        return SavedIndex(graph, _unique(outputs), _unique(names), _captured(graph))


# The owner of a body by the body's scope: that of the owner, and its place there.
_BODY = re.compile(r"(.*)/[^/]*_([0-9]+)\.[^/]*")


def _captured(graph: SavedGraph) -> dict[int, tuple[str, ...]]:
    """Positions of the nodes with bodies to what these read of what is around them."""
    members: dict[str, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        members.setdefault(node.scope, []).append(position)
    found: dict[int, dict[str, None]] = {}
    # A body's scope is longer than that of its owner.
    for scope in sorted(members, key=len, reverse=True):
        body = _BODY.fullmatch(scope)
        around = members.get(body[1], ()) if body is not None else ()
        if body is None or int(body[2]) >= len(around):
            continue
        made = {name for position in members[scope] for name in graph.nodes[position].outputs}
        reads = found.setdefault(around[int(body[2])], {})
        for position in members[scope]:
            names = (*graph.nodes[position].inputs, *found.get(position, ()))
            reads.update(dict.fromkeys(name for name in names if name and name not in made))
    return {position: tuple(names) for position, names in found.items()}


def _unique(pairs: Iterable[tuple[FamilyName, int]]) -> dict[FamilyName, int]:
    found: dict[FamilyName, int] = {}
    twice: set[FamilyName] = set()
    for key, position in pairs:
        if key in found:
            twice.add(key)
        found[key] = position
    for key in twice:
        del found[key]
    return found
