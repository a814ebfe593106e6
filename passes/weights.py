"""Whose weight each stored tensor is: by the parameter's name and shape, or by the digests of its values."""

from __future__ import annotations

from math import prod

from onnx_tagger.digest import value_digests
from onnx_tagger.graph import MAIN
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.metadata import Source
from onnx_tagger.passes.base import Analysis, Context, Values
from onnx_tagger.passes.index import Flow, TensorKey

# Short tensors are constants as often as weights: their values prove nothing.
LEAST_VALUES = 8


class StoredWeights(Analysis[dict[str, frozenset[str]]]):
    """Which parameters each stored tensor of the main graph may be: its name to theirs.

    A tensor that bears a parameter's name and has its shape, up to the order of dimensions, is that parameter or one of
    equal values, since exporters keep one of those. Any other is looked up by its values, in whatever order they are
    stored and whether rounded to float16 or not.
    """

    def compute(self, ctx: Context) -> dict[str, frozenset[str]]:
        """Look every stored tensor up."""
        tree = ctx.hierarchy
        if tree is None or not tree.parameters:
            return {}
        known = _Parameters(tree)
        found: dict[str, frozenset[str]] = {}
        for tensor in ctx.model.graph.initializer:
            names = known.by_name(tensor.name, tuple(tensor.dims))
            if not names and prod(tensor.dims) >= LEAST_VALUES:
                values = ctx.read_values(tensor)
                names = known.by_values(values) if values is not None else frozenset()
            if names:
                found[tensor.name] = names
        for sparse in ctx.model.graph.sparse_initializer:
            # By name alone: what is stored of it are not all of its values.
            if names := known.by_name(sparse.values.name, tuple(sparse.dims)):
                found[sparse.values.name] = names
        return found


class WeightOwners(Analysis[dict[str, frozenset[str]]]):
    """Which modules may own each stored tensor of the main graph: name to paths of the modules that run with it.

    A module that never ran lends its weights to the one around it.
    """

    requires = (StoredWeights,)

    def compute(self, ctx: Context) -> dict[str, frozenset[str]]:
        """Look the owners of every stored tensor's parameters up."""
        tree = ctx.hierarchy
        if tree is None or not tree.parameters:
            return {}
        owner = {parameter.name: parameter.owner for parameter in tree.parameters}
        ran = {module.path for module in tree.modules if module.calls}
        found: dict[str, frozenset[str]] = {}
        for name, parameters in ctx.get(StoredWeights).items():
            chains = {owner[parameter]: tree.chain(owner[parameter]) for parameter in parameters}
            running = ([path for path in chain if not ran or path in ran] for chain in chains.values())
            modules = frozenset(chain[-1] for chain in running if chain)
            if modules:
                found[name] = modules
        return found


class _Parameters:
    """The parameters of a map by name and by values."""

    def __init__(self, tree: HierarchyMap) -> None:
        self.alike: dict[tuple[int, str], set[str]] = {}
        self.rounded: dict[tuple[int, str], set[str]] = {}
        self.named = {parameter.name: parameter for parameter in tree.parameters}
        for parameter in tree.parameters:
            size = prod(parameter.shape)
            self.alike.setdefault((size, parameter.digests[0]), set()).add(parameter.name)
            self.rounded.setdefault((size, parameter.digests[1]), set()).add(parameter.name)

    def by_name(self, name: str, dims: tuple[int, ...]) -> frozenset[str]:
        """The parameter of a name and all that are equal to it."""
        parameter = self.named.get(name)
        if parameter is None or sorted(parameter.shape) != sorted(dims):
            return frozenset()
        return frozenset(self.alike[prod(parameter.shape), parameter.digests[0]])

    def by_values(self, values: Values) -> frozenset[str]:
        """The parameters that hold these values in any order."""
        if values.dtype.kind not in "fiub":
            return frozenset()
        stored, rounded = value_digests(values)
        names = self.alike.get((values.size, stored)) or self.rounded.get((values.size, rounded), set())
        return frozenset(names)


class Anchors:
    """Tags the ops in bodies that read a weight of which it is known whose it is: a captured run says nothing of those.

    Without a run, those of the main graph as well.

    Parameters
    ----------
    ctx : Context
    tree : HierarchyMap
    flow : Flow
    owners : dict
        From `WeightOwners`.
    source : Source
        How the tags are found.
    """

    def __init__(
        self,
        ctx: Context,
        tree: HierarchyMap,
        flow: Flow,
        owners: dict[str, frozenset[str]],
        source: Source = Source.ALIGNED,
    ) -> None:
        self.source = source
        self.ops, self.tags, self.tree, self.flow = ctx.ops, ctx.tags, tree, flow
        # Stored tensors of the main graph are in scope 0; what is made of them alone is theirs, too.
        self.whose: dict[TensorKey, frozenset[str]] = {(0, name): paths for name, paths in owners.items()}

    def place(self) -> None:
        """Tag in one sweep what is certain."""
        for index in self.flow.order:
            op = self.ops[index]
            keys = self.flow.inputs[index]
            claims = [self.whose[key] for key in keys if key in self.whose]
            if not claims or op in self.tags:
                continue
            common = frozenset.intersection(*claims)
            if all(key in self.whose or key in self.flow.stored for key in keys):
                place = self.flow.place[op.id]
                self.whose.update({(place, name): common for name in op.node.output if name and common})
            elif len(common) == 1 and (op.scope.name != MAIN or not self.tree.trace):
                self.tags[op] = self.tree.tag(next(iter(common)), self.source)
