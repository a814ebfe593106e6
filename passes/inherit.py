"""Context inheritance: a tag for what no carrier and no region speaks for, from the data flow around it.

Never a sibling's tag: an ancestor is less precise, a sibling is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from onnx_tagger.graph import MAIN, Op, functions_in_call_order
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.metadata import Source
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.calltime import Side, Window, sides
from onnx_tagger.passes.index import DataFlow, Flow
from onnx_tagger.passes.replay import Replay, Run
from onnx_tagger.passes.weights import StoredWeights

# They make numbers out of nothing or out of a shape: what they are for is said by who reads them.
_FROM_SHAPES = frozenset({"Constant", "Shape", "Size", "ConstantOfShape", "RandomNormal", "RandomUniform"})

# They move values and compute none.
_MOVES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)


@dataclass(frozen=True)
class Inherit(Pass):
    """Give untagged nodes the innermost module that encloses their neighbours.

    Constants and shape arithmetic take their consumers', any other node its tagged producers' and consumers'; of these
    only the latest and the earliest count where the map tells when their modules ran. A node
    in a body never leaves the module of the node that owns the body. A node of a function takes what its call sites
    are, each resolved in its caller. Chains settle in one backward and one forward sweep.

    Parameters
    ----------
    fallback : bool
        Give nodes without any tagged neighbour the root's tag, with the source `root`; without it they stay untagged.
    """

    name = "inherit"
    requires = (DataFlow, StoredWeights)
    touches = Touches.TAGS

    fallback: bool = True

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree = ctx.hierarchy
        if tree is None or len(ctx.tags) == len(ctx.ops):
            return 0
        before = len(ctx.tags)
        sweep = _Sweep(ctx, tree, ctx.get(DataFlow))
        sweep.main()
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


class _Sweep:
    """One run over one model."""

    def __init__(self, ctx: Context, tree: HierarchyMap, flow: Flow) -> None:
        self.ops, self.tags, self.tree, self.flow = ctx.ops, ctx.tags, tree, flow
        if tree.trace:
            self._replay(ctx)
        self.window = Window(tree, Counter(path for tag in ctx.tags.values() for path in tag.modules))

    def _replay(self, ctx: Context) -> None:
        """Tag the nodes of which the captured run says which module's operation they do."""
        made_at_export = self.tree.graph is not None
        weights = {} if made_at_export else ctx.get(StoredWeights)
        for op, places in Replay(self.ops, self.tags, self.flow, Run(self.tree), weights).dealt().items():
            if op not in self.tags:
                found = [self.tree.trace[place] for place in places]
                module = self.tree.enclosing(operation.module for operation in found)
                calls = {(operation.module, operation.call) for operation in found}
                call = calls.pop()[1] if len(calls) == 1 else ()
                self.tags[op] = self.tree.tag(module, Source.INHERITED, call=call)

    def main(self) -> None:
        """Tag the nodes of the main graph and its bodies."""
        below = self._nearest(reversed(self.flow.order), self.flow.graph.succ)
        auxiliary = self._auxiliary()
        before = sides(self.ops, self.tags, self.tree, self.flow, 1)
        after = sides(self.ops, self.tags, self.tree, self.flow, -1)
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
