"""Context inheritance: a tag for what no carrier and no region speaks for, from the data flow around it.

Never a sibling's tag: an ancestor is less precise, a sibling is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import prod

from onnx_tagger.hierarchy.map import HierarchyMap, Merge
from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.graph import MAIN, Op, functions_in_call_order
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow
from onnx_tagger.passes.analyses.sizes import OnlySizes
from onnx_tagger.passes.analyses.weights import Anchors, StoredWeights, WeightOwners
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.repetition import Repetition
from onnx_tagger.passes.replay.replay import Replay
from onnx_tagger.passes.replay.run import CapturedRun

# They make numbers out of nothing or out of a shape: what they are for is said by who reads them.
_FROM_SHAPES = frozenset({"Constant", "Shape", "Size", "ConstantOfShape", "RandomNormal", "RandomUniform"})


@dataclass(frozen=True)
class Inherit(Pass):
    """Give untagged nodes the innermost module that is known to enclose them.

    The rule: constants and shape arithmetic take their consumers', any other node its tagged producers' and consumers';
    a node in a body never leaves the module of the node that owns the body; a node of a function takes what its call
    sites are, each resolved in its caller. Chains settle in one backward and one forward sweep. The rule comes last;
    the steps before it know more, as long as the map does.

    Parameters
    ----------
    fallback : bool
        Give nodes without any tagged neighbour the root's tag, with the source `root`; without it they stay untagged.
    replay : bool
        Lay the nodes beside the operations of the captured run; see `Replay`.
    weights : bool
        Let the weights that nodes read say which operations they are.
    repetition : bool
        Look for nodes with the same neighbourhood elsewhere; see `Repetition`.
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of several modules; see `Align`.
    ends : bool
        Let a node take the module of what it is known to read from alone, or to be read by. Without it such a node
        gets the root: where few nodes are known, what lies before the first or behind the last one may be anywhere.
    """

    name = "inherit"
    requires = (DataFlow, StoredWeights, WeightOwners, CapturedRun, OnlySizes)
    touches = Touches.TAGS

    fallback: bool = True
    replay: bool = True
    weights: bool = True
    repetition: bool = True
    merge: Merge = "enclosing"
    ends: bool = True

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree = ctx.hierarchy
        if tree is None or len(ctx.tags) == len(ctx.ops):
            return 0
        before = len(ctx.tags)
        sweep = _Sweep(ctx, tree, ctx.get(DataFlow))
        if self.replay and tree.trace:
            sweep.replay(ctx, self._weights(ctx, tree), self.merge)
        elif self.weights:
            Anchors(ctx, tree, sweep.flow, ctx.get(WeightOwners), Source.INHERITED).place()
        if self.repetition:
            sweep.repeat()
        sweep.main(ends=self.ends)
        if self.fallback:
            # Before the functions: a call site that gets the root counts among theirs.
            sweep.rest()
        by_family: dict[str, list[Op]] = {}
        for op in ctx.ops:
            if op.scope.family != MAIN:
                by_family.setdefault(op.scope.family, []).append(op)
        for key in functions_in_call_order(ctx.walk):
            name = ctx.walk.functions[key].name
            sweep.function(by_family.get(name, ()), ctx.walk.calls[key])
        return len(ctx.tags) - before

    def _weights(self, ctx: Context, tree: HierarchyMap) -> Mapping[str, frozenset[str]]:
        """The parameters that the stored tensors may be; a graph made at export has placed their readers already."""
        return ctx.get(StoredWeights) if self.weights and tree.graph is None else {}


class _Sweep:
    """One run over one model."""

    def __init__(self, ctx: Context, tree: HierarchyMap, flow: Flow) -> None:
        self.ops, self.tags, self.tree, self.flow = ctx.ops, ctx.tags, tree, flow
        self.ctx, self.evidence = ctx, ctx.evidence
        self.sizes = ctx.get(OnlySizes)
        # What encloses a node for sure, of which it is not known yet where it is.
        self.bounds: dict[Op, str] = {}
        # The modules that it may be of.
        self.choices: dict[Op, frozenset[str]] = {}
        # What is around a node that does no operation of the run: an exporter's own work, at any place there.
        self.strays: dict[Op, str] = {}

    def replay(self, ctx: Context, weights: Mapping[str, frozenset[str]], merge: Merge) -> None:
        """Tag the nodes of which the captured run says whose operation they do part of."""
        replay = Replay(ctx, weights)
        said = replay.tags(self.tree, Source.INHERITED, merge)
        self.bounds, self.choices, self.strays = said.bounds, said.choices, said.strays
        found = {op: tag for op, tag in said.tags.items() if op not in self.tags}
        self.evidence.update({op: replay.rests_on(op) for op in found})
        self.tags.update(found)

    def repeat(self) -> None:
        """Tag the nodes that are known elsewhere in the model, within the module that the rule gives them."""
        told = Repetition(self.ops, self.tags, self.tree, self.flow).modules()
        if not told:
            return
        above = self._nearest(self.flow.order, self.flow.graph.pred)
        below = self._nearest(reversed(self.flow.order), self.flow.graph.succ)
        for op, module in told.items():
            around = self.tree.enclosing(path for path in (above[op.id], below[op.id]) if path is not None)
            bound = self.bounds.get(op, self.strays.get(op, ""))
            if self.tree.encloses(around, module) and self.tree.encloses(bound, module):
                self._set(op, module)

    def main(self, *, ends: bool) -> None:
        """Tag the nodes of the main graph and its bodies by the rule; `ends` as in `Inherit`."""
        above = self._nearest(self.flow.order, self.flow.graph.pred)
        below = self._nearest(reversed(self.flow.order), self.flow.graph.succ)
        auxiliary, earlier, inside = self._auxiliary(), self._earlier(), self._inside()
        # In the order of the walk an owner comes before its bodies, so its tag is settled when they are held to it.
        for op in self.ops:
            if op in self.tags or op.scope.family != MAIN:
                continue
            readers, owner = below[op.id], op.scope.owner
            known = [path for path in (above[op.id], readers, inside.get(op)) if path is not None]
            if op in self.strays:
                self._set(op, self.strays[op])
            elif auxiliary[op.id] and readers is not None:
                self._set(op, self._handed(readers, earlier[op.id]) if self._is_table(op) else readers, self._users(op))
            elif owner is not None and owner in self.tags and len(known) < 2:
                # A body begins and ends in the module of its owner.
                self._set(op, self.tree.enclosing([self.tags[owner].module, *known]))
            elif len(known) == 2 or (known and ends):
                self._set(op, self.tree.enclosing(known))

    def _handed(self, readers: str, earlier: str | None) -> str:
        """What encloses the readers of a table, and who may have handed it to them: who worked before, or is around."""
        return self.tree.enclosing([readers, earlier if earlier is not None else self.tree.chain(readers)[-2:][0]])

    def _nearest(self, order: Iterable[int], neighbours: Mapping[int, Iterable[int]]) -> list[str | None]:
        """For each op its module or, if it has no tag, what encloses the nearest tagged ops in one direction."""
        found: list[str | None] = [None] * len(self.ops)
        for index in order:
            tag = self.tags.get(self.ops[index])
            if tag is not None:
                found[index] = tag.module
                continue
            owner = self.ops[index].scope.owner
            beside = (other for other in neighbours[index] if owner is None or other != owner.id)
            near = {path for other in beside if (path := found[other]) is not None}
            if near:
                found[index] = self.tree.enclosing(near)
        return found

    def _auxiliary(self) -> list[bool]:
        """Which ops only make constants and shapes: no data reaches them but through Shape and Size."""
        found = [False] * len(self.ops)
        pred, flow = self.flow.graph.pred, self.flow
        for index in flow.order:
            if self.ops[index].node.op_type in _FROM_SHAPES:
                found[index] = True
            elif all(key in flow.producer or key in flow.stored for key in flow.inputs[index]):
                found[index] = all(found[source] for source in pred[index])
        return found

    def _earlier(self) -> list[str | None]:
        """For each op the module of the nearest tagged one before it in the file."""
        found: list[str | None] = []
        module: str | None = None
        for op in self.ops:
            found.append(module)
            if op in self.tags and op.scope.family == MAIN and op.node.op_type != "Constant":
                module = self.tags[op].module
        return found

    def _inside(self) -> dict[Op, str]:
        """For each op with bodies what encloses the tagged ops in them: what runs them is around all of these."""
        found: dict[Op, str] = {}
        # Backwards, a body comes before its owner.
        for op in reversed(self.ops):
            within = found.get(op, self.tags[op].module if op in self.tags else None)
            owner = op.scope.owner
            if owner is not None and within is not None:
                found[owner] = self.tree.enclosing([within, found.get(owner, within)])
        return found

    def _is_table(self, op: Op) -> bool:
        """Whether a node is a constant of several values that others compute with: it may have been handed to them."""
        if op.node.op_type != "Constant":
            return False
        stored = next((attribute.t for attribute in op.node.attribute if attribute.name == "value"), None)
        return stored is not None and prod(stored.dims) > 1 and not self.sizes[op.id]

    def _users(self, op: Op) -> tuple[str, ...]:
        """The modules that read a shared constant."""
        return tuple({self.tags[self.ops[i]].module for i in self.flow.graph.succ[op.id] if self.ops[i] in self.tags})

    def _set(self, op: Op, module: str, origins: Iterable[str] = ()) -> None:
        bound = self.bounds.get(op, "")
        if not self.tree.encloses(bound, module):
            module = bound if self.tree.encloses(module, bound) else self.tree.enclosing([module, bound])
        elif op in self.choices:
            # Between two children of a container that did nothing itself runs what is around it, or one of them.
            outwards = self.tree.chain(module)[::-1]
            module = next((path for path in outwards if path in self.choices[op]), bound)
        owner = op.scope.owner
        if owner is not None and owner in self.tags:
            within = self.tags[owner].module
            if not self.tree.encloses(within, module):
                module, origins = within, ()
        self.tags[op] = self.tree.tag(module, Source.INHERITED, origins)
        if op in self.bounds and self.tree.encloses(module, bound):
            # The neighbours do not say which of several operations it does.
            self.evidence[op] = Evidence.UNDECIDED

    def function(self, ops: Iterable[Op], sites: Collection[Op]) -> None:
        """Tag the untagged nodes of a function with the union of its call sites, if all of them are known."""
        tags = [self.tags.get(site) for site in sites if site.scope.called]
        known = [tag for tag in tags if tag is not None]
        if not known or len(known) < len(tags):
            return
        origins = {path for tag in known for path in tag.modules}
        source = max(tag.source for tag in known)
        tag = self.tree.tag(self.tree.enclosing(origins), source, origins)
        evidence = max(self.ctx.rests_on(site) for site in sites if site.scope.called)
        for op in ops:
            if op not in self.tags:
                self.tags[op], self.evidence[op] = tag, evidence

    def rest(self) -> None:
        """Give what is left in the main graph and its bodies the root."""
        root = self.tree.tag("", Source.ROOT)
        for op in self.ops:
            if op not in self.tags and op.scope.family == MAIN:
                self.tags[op] = root
