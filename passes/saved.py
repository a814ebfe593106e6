"""The saved graph of a map, indexed: which saved node has this name, which makes this tensor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    """

    graph: SavedGraph
    by_output: dict[FamilyName, int]
    by_name: dict[FamilyName, int]


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
        return SavedIndex(graph, _unique(outputs), _unique(names))


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
