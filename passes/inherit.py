"""Context inheritance: a tag for what no carrier and no region speaks for, from the data flow around it.

Never a sibling's tag: an ancestor is less precise, a sibling is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from onnx_tagger.graph import MAIN, Op, functions_in_call_order
from onnx_tagger.hierarchy import HierarchyMap, Merge
from onnx_tagger.metadata import Source
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.calltime import Side, Window, sides
from onnx_tagger.passes.index import DataFlow, Flow
from onnx_tagger.passes.repetition import Repetition
from onnx_tagger.passes.replay import Replay, Run
from onnx_tagger.passes.weights import Anchors, StoredWeights, WeightOwners

# They make numbers out of nothing or out of a shape: what they are for is said by who reads them.
_FROM_SHAPES = frozenset({"Constant", "Shape", "Size", "ConstantOfShape", "RandomNormal", "RandomUniform"})

# They move values and compute none.
_MOVES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)


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
    times : bool
        Of a node's neighbours count only the latest before and the earliest behind it, where the map tells when their
        modules ran; see `calltime`.
    """

    name = "inherit"
    requires = (DataFlow, StoredWeights, WeightOwners)
    touches = Touches.TAGS

    fallback: bool = True
    replay: bool = True
    weights: bool = True
    repetition: bool = True
    times: bool = True
    merge: Merge = "enclosing"

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree = ctx.hierarchy
        if tree is None or len(ctx.tags) == len(ctx.ops):
            return 0
        before = len(ctx.tags)
        sweep = _Sweep(ctx, tree, ctx.get(DataFlow))
        if self.replay and tree.trace:
            sweep.replay(self._weights(ctx, tree), self.merge)
        elif self.weights:
            Anchors(ctx, tree, sweep.flow, ctx.get(WeightOwners), Source.INHERITED).place()
        if self.repetition:
            sweep.repeat()
        sweep.main(times=self.times)
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
        # What encloses a node for sure, of which it is not known yet where it is.
        self.bounds: dict[Op, str] = {}

    def replay(self, weights: Mapping[str, frozenset[str]], merge: Merge) -> None:
        """Tag the nodes of which the captured run says whose operation they do part of."""
        tags, self.bounds = Replay(self.ops, self.tags, self.flow, Run(self.tree), weights).tags(
            self.tree, Source.INHERITED, merge
        )
        self.tags.update({op: tag for op, tag in tags.items() if op not in self.tags})

    def repeat(self) -> None:
        """Tag the nodes that are known elsewhere in the model."""
        for op, module in Repetition(self.ops, self.tags, self.tree, self.flow).modules().items():
            if self.tree.encloses(self.bounds.get(op, ""), module):
                self._set(op, module)

    def main(self, *, times: bool) -> None:
        """Tag the nodes of the main graph and its bodies by the rule."""
        self.window = Window(self.tree, Counter(path for tag in self.tags.values() for path in tag.modules))
        below = self._nearest(reversed(self.flow.order), self.flow.graph.succ)
        auxiliary = self._auxiliary()
        before = sides(self.ops, self.tags, self.tree, self.flow, 1, timed=times)
        after = sides(self.ops, self.tags, self.tree, self.flow, -1, timed=times)
        # In the order of the walk an owner comes before its bodies, so its tag is settled when they are held to it.
        for op in self.ops:
            if op in self.tags or op.scope.family != MAIN:
                continue
            readers = below[op.id]
            if auxiliary[op.id] and readers is not None:
                self._set(op, readers, self._users(op))
                continue
            known = [side for side in (before[op.id], after[op.id]) if side is not None]
            owner = op.scope.owner
            if owner is not None and owner in self.tags and len(known) < 2:
                # A body begins and ends in the module of its owner.
                bounds = [path for side in known for path in side.modules]
                self._set(op, self.tree.enclosing([self.tags[owner].module, *bounds]))
            elif known:
                module = self._within(op, before[op.id], after[op.id])
                if module is not None:
                    self._set(op, module)
                    continue
                module = self.tree.enclosing(path for side in known for path in side.modules)
                # With nothing on the other side, it may be a module beside that one just as well.
                alone = len(known) == 1 and known[0].nearest == module and known[0].time != -inf
                self._set(op, self.tree.chain(module)[-2:][0] if alone else module)

    def _within(self, op: Op, before: Side | None, after: Side | None) -> str | None:
        """The module that worked between a node's neighbours, if it is known when those ran."""
        if any(side is not None and side.vague is not None for side in (before, after)):
            return None
        start = before.time if before is not None else -inf
        end = -after.time if after is not None else inf
        return self.window.module(start, end, view=op.node.op_type in _MOVES) if start <= end else None

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

    def _users(self, op: Op) -> tuple[str, ...]:
        """The modules that read a shared constant."""
        return tuple({self.tags[self.ops[i]].module for i in self.flow.graph.succ[op.id] if self.ops[i] in self.tags})

    def _set(self, op: Op, module: str, origins: Iterable[str] = ()) -> None:
        bound = self.bounds.get(op, "")
        if not self.tree.encloses(bound, module):
            module = bound if self.tree.encloses(module, bound) else self.tree.enclosing([module, bound])
        owner = op.scope.owner
        if owner is not None and owner in self.tags:
            within = self.tags[owner].module
            if not self.tree.encloses(within, module):
                module, origins = within, ()
        self.tags[op] = self.tree.tag(module, Source.INHERITED, origins)

    def function(self, ops: Iterable[Op], sites: Iterable[Op]) -> None:
        """Tag the untagged nodes of a function with the union of its call sites, if all of them are known."""
        tags = [self.tags.get(site) for site in sites if site.scope.called]
        known = [tag for tag in tags if tag is not None]
        if not known or len(known) < len(tags):
            return
        origins = {path for tag in known for path in tag.modules}
        source = max(tag.source for tag in known)
        tag = self.tree.tag(self.tree.enclosing(origins), source, origins)
        for op in ops:
            if op not in self.tags:
                self.tags[op] = tag

    def rest(self) -> None:
        """Give what is left in the main graph and its bodies the root."""
        root = self.tree.tag("", Source.ROOT)
        for op in self.ops:
            if op not in self.tags and op.scope.family == MAIN:
                self.tags[op] = root
