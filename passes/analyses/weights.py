"""Whose weight each stored tensor is: by the parameter's name and shape, or by the digests of its values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cache
from math import prod

from onnx_tagger.hierarchy.digest import LEAST_VALUES, value_digests
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.graph import MAIN
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.analyses.dataflow import Flow, TensorKey
from onnx_tagger.passes.base import Analysis, Context, Values


class _Lookup(Mapping[str, frozenset[str]]):
    """What is found for stored tensors, looked up when it is asked for: their values may have to be read."""

    def __init__(self, names: Iterable[str], find: Callable[[str], frozenset[str]]) -> None:
        self._names, self._find = names, cache(find)

    def __getitem__(self, name: str) -> frozenset[str]:
        found = self._find(name)
        if not found:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if self._find(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class StoredWeights(Analysis[Mapping[str, frozenset[str]]]):
    """Which parameters each stored tensor of the main graph may be: its name to theirs.

    A tensor that bears a parameter's name and has its shape, up to the order of dimensions, is that parameter or one of
    equal values, since exporters keep one of those. Any other is looked up by its values, in whatever order they are
    stored and whether rounded to float16 or not.
    """

    def compute(self, ctx: Context) -> Mapping[str, frozenset[str]]:
        """Prepare to look stored tensors up; values are read when a tensor is asked for."""
        tree = ctx.hierarchy
        if tree is None or not tree.parameters:
            return {}
        known = Parameters(tree)
        tensors = {tensor.name: tensor for tensor in ctx.model.graph.initializer}
        # By name alone: what is stored of a sparse tensor are not all of its values.
        sparse = {tensor.values.name: tuple(tensor.dims) for tensor in ctx.model.graph.sparse_initializer}

        def find(name: str) -> frozenset[str]:
            if name in sparse:
                return known.by_name(name, sparse[name])
            tensor = tensors.get(name)
            if tensor is None:
                return frozenset()
            names = known.by_name(name, tuple(tensor.dims))
            if names or prod(tensor.dims) < LEAST_VALUES:
                return names
            values = ctx.read_values(tensor)
            return known.by_values(values) if values is not None else frozenset()

        return _Lookup((*tensors, *sparse), find)


class WeightOwners(Analysis[Mapping[str, frozenset[str]]]):
    """Which modules may own each stored tensor of the main graph: name to paths of the modules that run with it.

    A module that never ran lends its weights to the one around it.
    """

    requires = (StoredWeights,)

    def compute(self, ctx: Context) -> Mapping[str, frozenset[str]]:
        """Prepare to look the owners of stored tensors' parameters up."""
        tree = ctx.hierarchy
        if tree is None or not tree.parameters:
            return {}
        owner = {parameter.name: parameter.owner for parameter in tree.parameters}
        ran = {module.path for module in tree.modules if module.calls}
        stored = ctx.get(StoredWeights)

        @cache
        def running(path: str) -> str | None:
            return next((one for one in reversed(tree.chain(path)) if not ran or one in ran), None)

        @cache
        def owners(parameters: frozenset[str]) -> frozenset[str]:
            modules = (running(owner[parameter]) for parameter in parameters)
            return frozenset(path for path in modules if path is not None)

        return _Lookup(stored, lambda name: owners(stored.get(name, frozenset())))


class Parameters:
    """The parameters of a map by name and by values."""

    def __init__(self, tree: HierarchyMap) -> None:
        self.alike: dict[tuple[int, str], set[str]] = {}
        self.rounded: dict[tuple[int, str], set[str]] = {}
        self.frozen: dict[tuple[int, str], frozenset[str]] = {}
        self.named = {parameter.name: parameter for parameter in tree.parameters}
        for parameter in tree.parameters:
            size = prod(parameter.shape)
            self.alike.setdefault((size, parameter.digests[0]), set()).add(parameter.name)
            self.rounded.setdefault((size, parameter.digests[1]), set()).add(parameter.name)

    def by_name(self, name: str, dims: tuple[int, ...] | None = None) -> frozenset[str]:
        """The parameter of a name, and of a shape up to the order of dimensions, and all that are equal to it."""
        parameter = self.named.get(name)
        if parameter is None or (dims is not None and sorted(parameter.shape) != sorted(dims)):
            return frozenset()
        return self._shared(prod(parameter.shape), parameter.digests[0])

    def _shared(self, size: int, digest: str) -> frozenset[str]:
        """The parameters of equal values, as one object for all of them."""
        if (size, digest) not in self.frozen:
            self.frozen[size, digest] = frozenset(self.alike[size, digest])
        return self.frozen[size, digest]

    def by_values(self, values: Values) -> frozenset[str]:
        """The parameters that hold these values in any order."""
        if values.dtype.kind not in "fiub":
            return frozenset()
        stored, rounded = value_digests(values)
        names = self.alike.get((values.size, stored)) or self.rounded.get((values.size, rounded), set())
        return frozenset(names)


class WeightKeys:
    """What tells a stored tensor, in the saved graph and in the new one alike; those that share a key may be the same.

    Parameters
    ----------
    tree : HierarchyMap
        With a saved graph.
    stored, owners : mapping
        From `StoredWeights` and `WeightOwners`.
    """

    def __init__(
        self, tree: HierarchyMap, stored: Mapping[str, frozenset[str]], owners: Mapping[str, frozenset[str]]
    ) -> None:
        self.stored, self.owners = stored, owners
        parameters, graph = Parameters(tree), tree.graph
        self.parameters = parameters
        self.known: dict[str, frozenset[Hashable]] = {}
        readers: dict[str, list[Tag | None]] = defaultdict(list)
        initializers = graph.initializers.keys() if graph is not None else set[str]()
        for node in graph.nodes if graph is not None else ():
            for name in initializers & set(node.inputs) if not initializers.isdisjoint(node.inputs) else ():
                readers[name].append(node.tag)
        for name, tags in readers.items():
            alike = parameters.by_name(name)
            modules = {tag.modules for tag in tags if tag is not None}
            keys: set[Hashable] = {name} if alike or len(tags) == 1 else set()
            if alike:
                keys.add(alike)
            elif len(modules) == 1:
                # Exporters store a weight transposed under a name of their own: it is taken for its readers'.
                keys.add(("owned by", frozenset(modules.pop())))
            self.known[name] = frozenset(keys)

    def new(self, name: str) -> frozenset[Hashable]:
        """Keys of a stored tensor of the new graph: its name, the parameters that it may be, their owners."""
        if name in self.known:
            return self.known[name]
        if name not in self.stored:
            return frozenset()
        return frozenset({self.stored[name], ("owned by", self.owners.get(name))})

    def saved(self, name: str) -> frozenset[Hashable]:
        """Keys of a stored tensor of the saved graph; none of one that several read and no parameter is called."""
        return self.known.get(name, frozenset())


class Anchors:
    """Tags the ops in bodies that read a weight of which it is known whose it is: a captured run says nothing of those.

    Without a run, those of the main graph as well.

    Parameters
    ----------
    ctx : Context
    tree : HierarchyMap
    flow : Flow
    owners : mapping
        From `WeightOwners`.
    source : Source
        How the tags are found.
    """

    def __init__(
        self,
        ctx: Context,
        tree: HierarchyMap,
        flow: Flow,
        owners: Mapping[str, frozenset[str]],
        source: Source = Source.ALIGNED,
    ) -> None:
        self.source, self.evidence = source, ctx.evidence
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
                self.evidence[op] = Evidence.WEIGHT
