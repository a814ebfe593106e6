"""Whether a map is of a file's own model, and which part of the file it knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from math import prod
from operator import attrgetter

import onnx

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.digest import LEAST_VALUES, value_digests
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.metadata import Source
from onnx_tagger.model.report import shown_share
from onnx_tagger.passes.alignment.renames import CONVERTED, TENSORS, called_after
from onnx_tagger.passes.analyses.saved import SameNodes, SavedGraphIndex, same_node
from onnx_tagger.passes.analyses.weights import StoredWeights
from onnx_tagger.passes.base import Context, Values
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.passes.replay.operators import CONVERTERS
from onnx_tagger.runtime.verify import is_quantising

# Chosen on 23 files of the zoo (11 models by fx, 12 by htp). All 143 pairs of a file and its own map pass: as they
# are, by the other exporter, optimised, cast and quantised by onnxruntime; all 46 whose names were wiped, too, as they
# are and optimised, of whose weights the map knows 33 % or more. Of 488 with another model's map 10 pass, those of BERT
# with RoBERTa and DistilBERT; of the rest the maps know no weight and up to 15 % of the nodes. Names of tensors alone
# tell little: fx numbers them (`linear_3`), so that models share up to 90 % of them.
LEAST_NODES = 0.25
LEAST_WEIGHTS = 0.15

# One weight of so many values, not all the same, is enough if every one of them is as in the map.
PROVING_VALUES = 64

# A quantised file may have no weight left as it was, and of its tensors down to 16 %.
LEAST_OF_QUANTISED = 0.1

# A file that was optimised has hardly a node that nothing in the map speaks for.
_MANY = 0.1

_FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
_SHOWN = 3


class Kinship:
    """What a map knows of a file, as far as it is asked: weights are read last, and only if the rest does not tell.

    Parameters
    ----------
    ctx : Context
        With the map in it; its tags are not looked at.
    tree : HierarchyMap
        The map.
    """

    def __init__(self, ctx: Context, tree: HierarchyMap) -> None:
        self._ctx, self._tree = ctx, tree
        index = ctx.get(SavedGraphIndex)
        self._made = index.makers if index is not None else {}
        self._saved = index.graph.nodes if index is not None else ()
        self.nodes = len(ctx.ops)

    @cached_property
    def shares_nodes(self) -> bool:
        """Whether enough nodes are the saved graph's: operator, inputs and an output."""
        wanted = max(1, LEAST_NODES * self.nodes)
        if sum(place >= 0 for place in self._ctx.get(SameNodes)) >= wanted:
            return True
        found = 0
        # One output is enough here.
        for op in self._ctx.ops if self._made else ():
            made = self._made.get(op.scope.family, {})
            places = (made.get(name) for name in op.node.output[:] if name)
            found += any(place is not None and same_node(op.node, self._saved[place]) for place in places)
        return found >= wanted

    @cached_property
    def tensors(self) -> list[bool]:
        """Of each tensor whether the saved graph makes one of its name; what tools insert counts only if it does."""
        found: list[bool] = []
        for op in self._ctx.ops:
            known = [self._knows(op.scope.family, name) for name in op.node.output if name]
            found += known if op.node.op_type not in CONVERTERS else [each for each in known if each]
        return found

    def _knows(self, family: str, name: str) -> bool:
        """Whether the saved graph makes a tensor of a name, or of the one that it was made of."""
        made = self._made.get(family, {})
        return any(each in made for each in (name, *called_after(name, (*TENSORS, *CONVERTED))))

    @cached_property
    def quantised(self) -> bool:
        """Whether the file computes in small integers, so that its weights may be other tensors than the map's."""
        return any(map(is_quantising, {op.node.op_type for op in self._ctx.ops}))

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Stored tensors of floats that prove something: long enough, and not one number over and over.

        Fresh models are full of zeros and ones, which any map knows by their values. Empty if the map knows of no
        weights.
        """
        if not self._tree.parameters and self._tree.graph is None:
            return ()
        named = {parameter.name for parameter in self._tree.parameters}
        stored = self._ctx.model.graph.initializer
        long = (t for t in stored if t.data_type in _FLOATS and prod(t.dims) >= LEAST_VALUES)
        return tuple(t.name for t in long if t.name in named or not _is_constant(self._ctx.read_values(t)))

    @cached_property
    def unknown_weights(self) -> tuple[str, ...]:
        """Those that neither name and shape nor values tell the map's."""
        tree = self._tree
        known = self._ctx.get(StoredWeights) if tree.parameters else tree.graph.initializers if tree.graph else ()
        return tuple(name for name in self.weights if name not in known)

    @property
    def known_weights(self) -> int:
        """How many of the weights the map knows."""
        return len(self.weights) - len(self.unknown_weights)

    @cached_property
    def shares_values(self) -> bool:
        """Whether a weight of the file has the very values of one of the map's: so many do not agree by chance.

        What exporters and optimisers fold is another tensor afterwards, up to nearly all of a convolutional network.
        """
        alike = {
            (prod(parameter.shape), digest)
            for parameter in self._tree.parameters
            if prod(parameter.shape) >= PROVING_VALUES
            for digest in parameter.digests
        }
        weights = frozenset(self.weights) if alike else ()
        for tensor in self._ctx.model.graph.initializer if alike else ():
            size = prod(tensor.dims)
            values = self._ctx.read_values(tensor) if size >= PROVING_VALUES and tensor.name in weights else None
            # Rounded to float16, as a tool may have stored them, values are told by the second digest.
            told = value_digests(values) if values is not None and not _is_constant(values) else ()
            if any((size, digest) in alike for digest in told):
                return True
        return False

    @property
    def close(self) -> bool:
        """Whether nodes, tensors or weights show that the map is of this model."""
        if self.shares_nodes:
            return True
        known = sum(self.tensors)
        if 0 < known >= LEAST_OF_QUANTISED * len(self.tensors) and (self.quantised or not self.weights):
            return True
        if 0 < self.known_weights >= LEAST_WEIGHTS * len(self.weights):
            return True
        return self.shares_sizes and self.shares_values

    @cached_property
    def shares_sizes(self) -> bool:
        """Whether most weights have as many values as one of the map's: a fold changes values and no sizes."""
        sizes = {prod(parameter.shape) for parameter in self._tree.parameters}
        stored = {tensor.name: prod(tensor.dims) for tensor in self._ctx.model.graph.initializer}
        return 2 * sum(stored[name] in sizes for name in self.weights) >= len(self.weights) > 0

    @property
    def phrase(self) -> str:
        """What the map knows, as a part of a sentence."""
        parts = [_share(sum(self.tensors), len(self.tensors), "tensor")]
        if self.weights:
            parts.append(_share(self.known_weights, len(self.weights), "weight"))
        return "the map knows " + " and ".join(parts)


def insist_on_kin(ctx: Context, tree: HierarchyMap, kinship: Kinship, where: str) -> None:
    """Raise unless a map is of a file's model, by what both hold or by the modules that the file's metadata names.

    Raises
    ------
    MapError
        With the shares of tensors and weights that the map knows.
    """
    if kinship.close or not kinship.tensors:
        return
    # Node names and metadata speak without a saved graph, too; one that has the names of others would speak with it.
    bare = Context(ctx.model, replace(tree, graph=None))
    PassManager([Match()]).run_in(bare)
    if 0 < sum(bool(tag.module) for tag in bare.tags.values()) >= LEAST_NODES * kinship.nodes:
        return
    raise MapError(f"{where}: {kinship.phrase}, so it is another model's; give the right map, or --force")


def note_of_part(ctx: Context, kinship: Kinship) -> str | None:
    """A sentence if a map is of another version of the model and speaks for a part of the file alone.

    Parameters
    ----------
    ctx : Context
        With its tags found.
    kinship : Kinship
        Of the same model.
    """
    sources = Counter(map(attrgetter("source"), ctx.tags.values()))
    alone = sources[Source.INHERITED] + sources[Source.ROOT] + len(ctx.ops) - len(ctx.tags)
    exported = ctx.hierarchy is not None and ctx.hierarchy.graph is not None
    if not exported or kinship.quantised or alone < _MANY * kinship.nodes or not kinship.unknown_weights:
        return None
    first = ", ".join(kinship.unknown_weights[:_SHOWN])
    more = ", ..." if len(kinship.unknown_weights) > _SHOWN else ""
    return (
        f"{kinship.phrase}, not {first}{more}: it may be of another version of this model; "
        f"{alone} of {kinship.nodes} nodes were tagged by their neighbours alone"
    )


def _is_constant(values: Values | None) -> bool:
    return values is not None and bool((values == values.flat[0]).all())


def _share(part: int, whole: int, noun: str) -> str:
    return f"{shown_share(part, whole) if part else '0 %'} of its {whole} {noun}{'' if whole == 1 else 's'}"
