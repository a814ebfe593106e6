"""The saved graph of a map, indexed: which saved node has this name, which makes this tensor, which a node still is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import onnx

from onnx_tagger.hierarchy.map import SavedGraph, SavedNode
from onnx_tagger.model.graph import FUNCTION_PREFIX, MAIN, operator
from onnx_tagger.model.texts import brief_fields
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


@dataclass(frozen=True, eq=False)
class SavedIndex:
    """Look-ups in a saved graph, each made when it is first asked for; what is not unique is not in them.

    Attributes
    ----------
    graph : SavedGraph
    """

    graph: SavedGraph

    __repr__ = brief_fields

    @cached_property
    def families(self) -> dict[str, str]:
        """The outermost scope of each scope that holds nodes."""
        return {scope: family_of(scope) for scope in {node.scope for node in self.graph.nodes}}

    @cached_property
    def makers(self) -> dict[str, dict[str, int]]:
        """Family of scopes to tensor name to the position of the node that makes it."""
        nodes = self.graph.nodes
        if set(self.families.values()) == {MAIN}:
            single = all(len(node.outputs) == 1 for node in nodes)
            found = {node.outputs[0]: position for position, node in enumerate(nodes)} if single else {}
            # As many as there are nodes, so each is unique and has a name.
            if len(found) == len(nodes) and "" not in found:
                return {MAIN: found}
        outputs = ((node.scope, name, at) for at, node in enumerate(nodes) for name in node.outputs if name)
        return self._unique(outputs)

    @cached_property
    def by_output(self) -> dict[FamilyName, int]:
        """(family of scopes, tensor name) to the position of the node that makes it."""
        return _paired(self.makers)

    @cached_property
    def named(self) -> dict[str, dict[str, int]]:
        """Family of scopes to node name to the position of the one node of that name."""
        return self._unique((node.scope, node.name, at) for at, node in enumerate(self.graph.nodes) if node.name)

    @cached_property
    def by_name(self) -> dict[FamilyName, int]:
        """(family of scopes, node name) to the position of the one node of that name."""
        return _paired(self.named)

    @cached_property
    def captured(self) -> dict[int, tuple[str, ...]]:
        """Position of each node that has bodies to the tensors around it that these read."""
        return _captured(self.graph)

    def reads(self, position: int) -> tuple[str, ...]:
        """The tensors that a node takes, in its bodies, too."""
        inputs = self.graph.nodes[position].inputs
        return (*inputs, *self.captured[position]) if position in self.captured else inputs

    def _unique(self, entries: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
        """What is unique in its family, of (scope, name, position)."""
        families = self.families
        found: dict[str, dict[str, int]] = {family: {} for family in families.values()}
        twice: set[FamilyName] = set()
        for scope, name, position in entries:
            names = found[families[scope]]
            if name in names:
                twice.add((families[scope], name))
            names[name] = position
        for family, name in twice:
            del found[family][name]
        return found


def _paired(by_family: Mapping[str, Mapping[str, int]]) -> dict[FamilyName, int]:
    return {(family, name): at for family, names in by_family.items() for name, at in names.items()}


class SavedGraphIndex(Analysis["SavedIndex | None"]):
    """Indexes the map's graph; None if there is no map or it holds no graph."""

    reads = Touches.NOTHING

    def compute(self, ctx: Context) -> SavedIndex | None:
        """Give the index, whose look-ups are made when they are asked for."""
        graph = ctx.hierarchy.graph if ctx.hierarchy is not None else None
        return SavedIndex(graph) if graph is not None else None


class SameNodes(Analysis[list[int]]):
    """For each op the position of the saved node that it is, or -1; see `same_node`."""

    requires = (SavedGraphIndex,)
    reads = Touches.TOPOLOGY

    def compute(self, ctx: Context) -> list[int]:
        """Look each op up by the tensors that it makes."""
        index = ctx.get(SavedGraphIndex)
        nodes, makers = (index.graph.nodes, index.makers) if index is not None else ((), {})
        found = [-1] * len(ctx.ops)
        for scope in ctx.walk.scopes:
            made = makers.get(scope.family)
            for op in scope.ops if made else ():
                place = _maker(op.node.output[:], made or {})
                if place is not None and same_node(op.node, nodes[place]):
                    found[op.id] = place
        return found


def _maker(outputs: list[str], makers: Mapping[str, int]) -> int | None:
    """The position of the one node that makes all of these tensors."""
    if len(outputs) == 1:
        return makers.get(outputs[0])
    found = {makers.get(name) for name in outputs if name}
    return found.pop() if len(found) == 1 else None


def same_node(node: onnx.NodeProto, saved: SavedNode) -> bool:
    """Whether a node is a saved one: operator and inputs agree; trailing empty inputs do not count."""
    if operator(node) != saved.op:
        return False
    inputs = tuple(node.input[:])
    return inputs == saved.inputs or _stripped(inputs) == _stripped(saved.inputs)


def _stripped(names: tuple[str, ...]) -> tuple[str, ...]:
    while names and not names[-1]:
        names = names[:-1]
    return names


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
