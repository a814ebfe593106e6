"""Which saved tensor each tensor of a changed file is: by its name, by what a tool makes of names, by structure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from math import inf, prod

import onnx

from onnx_tagger.hierarchy.digest import LEAST_VALUES, value_digests
from onnx_tagger.hierarchy.map import HierarchyMap, SavedNode
from onnx_tagger.model.graph import MAIN, Op, operator
from onnx_tagger.passes.alignment.parts import Part, PartNode
from onnx_tagger.passes.alignment.renames import NODES, STORED, TENSORS, called_after
from onnx_tagger.passes.alignment.stages import Stages
from onnx_tagger.passes.alignment.structure import Structure
from onnx_tagger.passes.analyses.dataflow import Flow
from onnx_tagger.passes.analyses.saved import FamilyName, SavedIndex, family_of
from onnx_tagger.passes.analyses.sizes import Idle, size_inputs
from onnx_tagger.passes.analyses.weights import WeightKeys
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.replay.operators import CONVERTERS, LAYOUTS, LINEAR, SAME_VALUE

Keys = Mapping[int, frozenset[Hashable]]


class Correspondence:
    """One file beside one saved graph.

    Parameters
    ----------
    ctx : Context
        With the tags that are known.
    tree : HierarchyMap
    index : SavedIndex
    flow : Flow
    stored, owners : mapping
        From `StoredWeights` and `WeightOwners`; empty if weights are not to be looked at.
    distrusted : collection of str
        Tensors of the main graph that are not what the saved graph calls so.

    Attributes
    ----------
    order : list of int
        Op ids in topological order.
    alive : set of FamilyName
        The saved tensors that the file has.
    by_structure : set of FamilyName
        Those of them that no name tells.
    """

    def __init__(
        self,
        ctx: Context,
        tree: HierarchyMap,
        index: SavedIndex,
        flow: Flow,
        stored: Mapping[str, frozenset[str]],
        owners: Mapping[str, frozenset[str]],
        distrusted: Collection[str] = (),
    ) -> None:
        self.ops, self.tags, self.flow, self.index = ctx.ops, ctx.tags, flow, index
        self.main = ctx.walk.scopes[0]
        self.families = [scope.family for scope in ctx.walk.scopes]
        self.owners = {scope.owner for scope in ctx.walk.scopes}
        self.order = flow.order
        self._tree, self._stored, self._owners = tree, stored, owners
        self._values, self._tensors = ctx.read_values, {tensor.name: tensor for tensor in ctx.model.graph.initializer}
        self._altered, self._idle = dict[int, bool](), ctx.get(Idle)
        self._distrusted = frozenset(distrusted)
        # No family is called so: what is distrusted is no tensor of the saved graph.
        self._renamed = self._by_name() | {(MAIN, name): ("", name) for name in distrusted}
        names = set(_names(ctx, flow))
        self.alive = names - self._renamed.keys()
        self.alive.update(known for name, known in self._renamed.items() if name in names)
        moved, both = Stages(self, self._holds).tensors()
        self.alive -= moved.keys()
        self._renamed |= moved
        self.alive.update(both, (known for known in moved.values() if known[0]))
        # What names and values do not tell by themselves; see `Align`.
        self.by_structure: set[FamilyName] = set(moved)

    def compare(self, ops: Collection[Op]) -> None:
        """Look for tensors that some ops of the main graph make or read and that are saved ones by structure."""
        found = {(MAIN, name): (MAIN, known) for name, known in self._by_structure(ops).items()}
        self.alive.difference_update(self.key(*key) for key in found)
        self._renamed |= found
        self.alive.update(found.values())
        self.by_structure.update(found.values())

    def key(self, family: str, name: str) -> FamilyName:
        """The saved tensor that a tensor is, or what it would be called there."""
        return self._renamed.get((family, name), (family, name))

    def known(self, op: Op) -> list[FamilyName]:
        """The saved tensors that an op makes."""
        renamed, family, found = self._renamed, op.scope.family, []
        for _, name in self.flow.outputs[op.id]:
            key = (family, name)
            key = renamed.get(key, key)
            if key in self.index.by_output:
                found.append(key)
        return found

    def weights(self, op: Op) -> Keys:
        """Input position to what tells the weight that an op reads there, be it moved or converted before."""
        return self._weights(op.node.op_type, tuple(op.node.input))

    def _weights(self, op_type: str, names: tuple[str, ...]) -> Keys:
        if self._roots.keys().isdisjoint(names) and self._keys.known.keys().isdisjoint(names):
            return {}
        return _slots(op_type, names, lambda name: self._weight(self._roots.get(name, name)))

    def _weight(self, name: str) -> frozenset[Hashable]:
        """What tells a stored tensor, or the one that a tool has rounded to it."""
        keys = self._keys
        called = (keys.known[known] for known in called_after(name, STORED) if known in keys.known)
        return keys.new(name) or next(called, frozenset())

    def altered(self, op: Op) -> bool:
        """Whether an op multiplies by a stored tensor that, by name and values, is none of the saved graph's."""
        if op.node.op_type not in LINEAR or not self._stored:
            return False
        if op.id not in self._altered:
            weights, sizes = self.weights(op), size_inputs(op.node.op_type)
            slots = [slot for slot, name in enumerate(op.node.input) if name in self._roots and slot not in sizes]
            self._altered[op.id] = any(self._is_foreign(op.node.input[slot], slot in weights) for slot in slots)
        return self._altered[op.id]

    def plain(self, op: Op) -> bool:
        """Whether an op computes with no other constants than the saved graph: nothing is worked into them."""
        if not self._stored or self.altered(op):
            return False
        weights, sizes = self.weights(op), size_inputs(op.node.op_type)
        slots = (slot for slot, name in enumerate(op.node.input) if name and slot not in sizes and slot not in weights)
        return not any(self._is_constant(op.node.input[slot], op) for slot in slots)

    def _is_constant(self, name: str, op: Op) -> bool:
        makers = (self.flow.producer.get(key) for key in self.flow.inputs[op.id] if key[1] == name)
        return name in self._roots or any(maker is not None and self._idle[maker] for maker in makers)

    def _is_foreign(self, name: str, known: bool) -> bool:
        """Whether a stored tensor is known to be none of the saved graph's."""
        tensor = self._tensors.get(self._roots[name])
        # What several nodes read has no key, but still a name that the saved graph knows.
        known = known or self._roots[name] in self.index.graph.initializers
        if tensor is None or prod(tensor.dims) < LEAST_VALUES or known:
            return known and not self._holds(name)
        return self._values(tensor) is not None

    def _holds(self, name: str) -> bool:
        """Whether a stored tensor that is called after a parameter holds its values, as far as that can be read."""
        parameter, tensor = self._keys.parameters.named.get(name), self._tensors.get(name)
        exported = self.index.graph.initializers
        # An exporter may have worked something into a weight and kept its name.
        told = parameter is not None and tensor is not None and self._stored and exported.get(name, True)
        values = self._values(tensor) if told and tensor is not None else None
        if parameter is None or values is None:
            return True
        stored, rounded = value_digests(values)
        return stored == parameter.digests[0] or rounded == parameter.digests[1]

    def saved_weights(self, node: SavedNode) -> Keys:
        """Input position to what tells the weight that a saved node reads there."""
        if self._keys.known.keys().isdisjoint(node.inputs):
            return {}
        return _slots(node.op, node.inputs, self._keys.saved)

    @cached_property
    def _keys(self) -> WeightKeys:
        return WeightKeys(self._tree, self._stored, self._owners)

    @cached_property
    def _roots(self) -> dict[str, str]:
        """What is a stored tensor of the main graph or only a moved or converted copy of one, and of which."""
        found = {name: name for name in self.main.initializer_names}
        for index in self.order:
            keys = self.flow.inputs[index]
            if keys and keys[0][1] in found:
                op = self.ops[index]
                kind, inputs, outputs = op.node.op_type, op.node.input, op.node.output
                moves = kind in LAYOUTS or kind in SAME_VALUE
                if moves and op.scope.name == MAIN and inputs[0] in found and outputs and outputs[0]:
                    found[outputs[0]] = found[inputs[0]]
        return found

    # --- by name ------------------------------------------------------------------------------------------------------

    def _by_name(self) -> dict[FamilyName, FamilyName]:
        """Tensors that, or whose makers, bear the name of a saved tensor with what a tool put behind it."""
        found: dict[FamilyName, FamilyName] = {}
        nodes, tensors = (tuple(suffix.text for suffix in table) for table in (NODES, TENSORS))
        for op in self.ops:
            called, family = op.node.name, op.scope.family
            for name in called_after(called, NODES) if called.endswith(nodes) else ():
                saved = self.index.by_output.get((family, name))
                made = self._made(op, saved, (family, name)) if saved is not None and op.node.output else None
                if made is not None:
                    found[family, op.node.output[0]] = made
            for _, output in self.flow.outputs[op.id]:
                if output.endswith(tensors) and op.node.op_type not in CONVERTERS:
                    for name in called_after(output, TENSORS):
                        if (family, name) in self.index.by_output:
                            found[family, output] = (family, name)
        return found

    def _made(self, op: Op, saved: int, known: FamilyName) -> FamilyName | None:
        """The saved tensor that a node makes which is called after one: that, or what the node has taken in behind it.

        A blocked convolution takes the sum that follows in as a fourth input, and an activation as an attribute.
        """
        nodes = self.index.graph.nodes
        taken = ["Add"] if len(op.node.input) > _most_inputs(op.node) else []
        named = (attribute.s for attribute in op.node.attribute if attribute.name == "activation")
        activation = next(named, b"").decode(errors="replace")
        if activation and (taken or nodes[saved].op == op.node.op_type):
            taken.append(activation)
        for kind in taken:
            readers = [place for place in self._readers.get(known, ()) if nodes[place].op == kind]
            if len(readers) != 1 or len(nodes[readers[0]].outputs) != 1:
                return None
            known = (known[0], nodes[readers[0]].outputs[0])
        return known

    @cached_property
    def _readers(self) -> dict[FamilyName, list[int]]:
        """Saved tensor to the positions of the nodes that read it."""
        found: dict[FamilyName, list[int]] = {}
        for place, node in enumerate(self.index.graph.nodes):
            for name in dict.fromkeys(node.inputs):
                found.setdefault((family_of(node.scope), name), []).append(place)
        return found

    # --- by structure -------------------------------------------------------------------------------------------------

    def _by_structure(self, among: Collection[Op]) -> dict[str, str]:
        """Tensors of the main graph that are saved ones though no name says so."""
        ops = [op for op in map(self.ops.__getitem__, self.order) if op in among and op.scope.name == MAIN]
        graph, done = self.index.graph, self._done()
        places = [place for place, node in enumerate(graph.nodes) if place not in done and node.scope == MAIN]
        new = [self._part(op) for op in ops]
        saved = [self._saved_part(place) for place in places]
        return Structure(
            Part(new, frozenset(self.main.output_names), frozenset(self.main.initializer_names)),
            Part(saved, frozenset(graph.outputs), frozenset(graph.initializers)),
            self._same(new, saved),
            self._distrusted,
        ).tensors()

    def _done(self) -> set[int]:
        """Positions of the saved nodes whose results known ops of the main graph make."""
        found: set[int] = set()
        renamed, by_output = self._renamed, self.index.by_output
        for op in self.tags:
            if op.scope.name == MAIN:
                for _, name in self.flow.outputs[op.id]:
                    key = (MAIN, name)
                    place = by_output.get(renamed.get(key, key))
                    if place is not None:
                        found.add(place)
        return found

    def _part(self, op: Op) -> PartNode:
        """An op as it is compared."""
        node = op.node
        inputs = tuple(node.input)
        weights = self._weights(node.op_type, inputs)
        owns, altered = op in self.owners, self.altered(op)
        return PartNode(operator(node), inputs, tuple(node.output), weights, node.name, owns, altered=altered)

    def _saved_part(self, place: int) -> PartNode:
        """A saved node as it is compared."""
        node = self.index.graph.nodes[place]
        said = node.tag.modules if node.tag is not None else None
        opaque = place in self.index.captured
        return PartNode(node.op, node.inputs, node.outputs, self.saved_weights(node), node.name, opaque, said)

    def _same(self, new: Sequence[PartNode], saved: Sequence[PartNode]) -> dict[str, str]:
        """What nodes of both graphs read and make that both have, as far as names tell."""
        graph, inputs, renamed = self.index.graph, set(self.index.graph.inputs), self._renamed
        found: dict[str, str] = {}
        for node in new:
            for name in node.inputs + node.outputs:
                key = (MAIN, name)
                known = renamed.get(key, key)
                if known in self.index.by_output or (known[1] in inputs and known[0]):
                    found[name] = known[1]
        for node in saved:
            for name in node.inputs + node.outputs:
                if name not in found and (MAIN, name) in self.alive and name not in graph.initializers:
                    found[name] = name
        return found


def _slots(op_type: str, names: Sequence[str], keys: Callable[[str], frozenset[Hashable]]) -> Keys:
    sizes = size_inputs(op_type)
    return {slot: found for slot, name in enumerate(names) if name and slot not in sizes and (found := keys(name))}


def _most_inputs(node: onnx.NodeProto) -> float:
    """How many inputs the standard's operator of a node's name takes at most."""
    return onnx.defs.get_schema(node.op_type).max_input if onnx.defs.has(node.op_type) else inf


def _names(ctx: Context, flow: Flow) -> Iterator[FamilyName]:
    """Every tensor name of the new graph with its family."""
    scopes = ctx.walk.scopes
    for scope in scopes:
        for name in (*scope.input_names, *scope.initializer_names):
            yield scope.family, name
    for keys in flow.outputs:
        for place, name in keys:
            yield scopes[place].family, name
