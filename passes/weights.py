"""Whose weight each stored tensor is: by the parameter's name and shape, or by the digests of its values."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, prod

from onnx_tagger.digest import value_digests
from onnx_tagger.graph import Op
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.metadata import Source
from onnx_tagger.passes.base import Analysis, Context, Values
from onnx_tagger.passes.calltime import CallTimes, Side, sides
from onnx_tagger.passes.index import Flow, TensorKey

# Short tensors are constants as often as weights: their values prove nothing.
LEAST_VALUES = 8


class WeightOwners(Analysis[dict[str, frozenset[str]]]):
    """Which modules may own each stored tensor of the main graph: name to paths of the modules that run with it.

    A tensor that bears a parameter's name and has its shape, up to the order of dimensions, is that parameter or one of
    equal values, since exporters keep one of those. Any other is looked up by its values, in whatever order they are
    stored and whether rounded to float16 or not. A module that never ran lends its weights to the one around it.
    """

    def compute(self, ctx: Context) -> dict[str, frozenset[str]]:
        """Look every stored tensor up."""
        tree = ctx.hierarchy
        if tree is None or not tree.parameters:
            return {}
        known = _Parameters(tree)
        found: dict[str, frozenset[str]] = {}
        for tensor in ctx.model.graph.initializer:
            owners = known.by_name(tensor.name, tuple(tensor.dims))
            if not owners and prod(tensor.dims) >= LEAST_VALUES:
                values = ctx.read_values(tensor)
                owners = known.by_values(values) if values is not None else frozenset()
            if owners:
                found[tensor.name] = owners
        return found


class _Parameters:
    """The parameters of a map by name and by values."""

    def __init__(self, tree: HierarchyMap) -> None:
        self.tree = tree
        self.ran = {module.path for module in tree.modules if module.calls}
        self.alike: dict[tuple[int, str], set[str]] = {}
        self.rounded: dict[tuple[int, str], set[str]] = {}
        self.named = {parameter.name: parameter for parameter in tree.parameters}
        for parameter in tree.parameters:
            size = prod(parameter.shape)
            self.alike.setdefault((size, parameter.digests[0]), set()).add(parameter.owner)
            self.rounded.setdefault((size, parameter.digests[1]), set()).add(parameter.owner)

    def by_name(self, name: str, dims: tuple[int, ...]) -> frozenset[str]:
        """Owners of the parameter of a name and of all that are equal to it."""
        parameter = self.named.get(name)
        if parameter is None or sorted(parameter.shape) != sorted(dims):
            return frozenset()
        return self._running(self.alike[prod(parameter.shape), parameter.digests[0]])

    def by_values(self, values: Values) -> frozenset[str]:
        """Owners of the parameters that hold these values in any order."""
        if values.dtype.kind not in "fiub":
            return frozenset()
        stored, rounded = value_digests(values)
        owners = self.alike.get((values.size, stored)) or self.rounded.get((values.size, rounded), set())
        return self._running(owners)

    def _running(self, owners: Iterable[str]) -> frozenset[str]:
        """The innermost modules at or around the owners that ran."""
        found = set()
        for owner in owners:
            chain = [path for path in self.tree.chain(owner) if not self.ran or path in self.ran]
            if chain:
                found.add(chain[-1])
        return frozenset(found)


class Anchors:
    """Tags the ops that read a weight of which it is known whose it is.

    Parameters
    ----------
    ctx : Context
    tree : HierarchyMap
    flow : Flow
    owners : dict
        From `WeightOwners`.
    """

    def __init__(self, ctx: Context, tree: HierarchyMap, flow: Flow, owners: dict[str, frozenset[str]]) -> None:
        self.ops, self.tags, self.tree, self.flow = ctx.ops, ctx.tags, tree, flow
        # Stored tensors of the main graph are in scope 0; what is made of them alone is theirs, too.
        self.whose: dict[TensorKey, frozenset[str]] = {(0, name): paths for name, paths in owners.items()}

    def place(self) -> None:
        """Tag in one sweep what is certain, then what the time between the neighbours decides, or a neighbour."""
        open_ones: list[tuple[Op, frozenset[str]]] = []
        for index in self.flow.order:
            op = self.ops[index]
            keys = self.flow.inputs[index]
            claims = [self.whose[key] for key in keys if key in self.whose]
            if not claims or op in self.tags:
                continue
            common = frozenset.intersection(*claims)
            if self._only_weights(keys):
                place = self.flow.place[op.id]
                self.whose.update({(place, name): common for name in op.node.output if name and common})
            elif len(common) == 1:
                self._tag(op, next(iter(common)))
            elif common:
                open_ones.append((op, common))
        if not open_ones:
            return
        times = CallTimes(self.tree)
        before = sides(self.ops, self.tags, self.tree, self.flow, 1)
        after = sides(self.ops, self.tags, self.tree, self.flow, -1)
        for op, common in open_ones:
            start, end = _between(before[op.id], after[op.id])
            fitting = [path for path in common if start <= times.span(path)[0] and times.span(path)[1] <= end]
            if len(fitting) == 1:
                self._tag(op, fitting[0])
        for op, common in open_ones:
            self._decide(op, common, self.flow.producers(op.id))
        for op, common in reversed(open_ones):
            self._decide(op, common, self.flow.consumers(op.id))

    def _only_weights(self, keys: Iterable[TensorKey]) -> bool:
        return all(key in self.whose or key in self.flow.stored for key in keys)

    def _decide(self, op: Op, common: frozenset[str], neighbours: Iterable[int]) -> None:
        """Take the one of the possible owners that a neighbour is of."""
        if op in self.tags:
            return
        near = {self.tags[self.ops[other]].module for other in neighbours if self.ops[other] in self.tags}
        if len(near & common) == 1:
            self._tag(op, next(iter(near & common)))

    def _tag(self, op: Op, module: str) -> None:
        self.tags[op] = self.tree.tag(module, Source.ALIGNED)


def _between(before: Side | None, after: Side | None) -> tuple[float, float]:
    """The time between a node's neighbours; infinite where nothing bounds it."""
    return (before.time if before is not None else -inf, -after.time if after is not None else inf)
