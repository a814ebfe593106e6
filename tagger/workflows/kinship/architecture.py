"""What a file and a map share besides values: specific names, metadata, shapes of weights, operators, layers.

All of it is shared by models of one architecture, whatever their weights are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, reduce
from math import prod
from operator import and_, itemgetter

import onnx

from onnx_tagger.hierarchy.map import HierarchyMap, Parameter
from onnx_tagger.model.metadata import text_of
from onnx_tagger.passes.alignment.renames import CONVERTED, TENSORS, called_after
from onnx_tagger.passes.analyses.saved import SameNodes, SavedGraphIndex
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.passes.replay.operators import CONVERTERS, MOVES, OPERATIONS, writes
from onnx_tagger.workflows.kinship.stored import StoredWeight
from onnx_tagger.workflows.kinship.verdict import ENOUGH, Evidence
from onnx_tagger.workflows.kinship.weights import JOINED

# Fewer of something say nothing.
_FEW = 3

# Above these, of 684 pairs with a stranger's map 1 in 20, 0 and 1 in 100 lie.
_SAME_SHAPES, _SAME_NODES, _SAME_OPERATORS = 0.85, 0.4, 0.9
_ALL = 0.999
_ALL_SHAPES, _MANY_SHAPES = 0.98, 20

# Longer sequences of shapes are compared by their beginnings.
_LONGEST = 512

# Words that exporters and tools put into names themselves.
_OWN_WORDS = (
    "node val onnx output input token nchwc getitem inlfunc cast quantized scale zero point reordered weight bias "
    "out in new copy default self arg args const constant unnamed initializer cond body then else branch bn folded "
    "fused transposed graph"
)
_WORDS = re.compile(r"[a-z]+", re.IGNORECASE)


def names(ctx: Context, tree: HierarchyMap) -> Evidence | None:
    """Names of the file that hold a part of a module path, and that the map knows: no exporter would invent them."""
    known, sizes = _known_names(tree), {each.name: prod(each.shape) for each in tree.parameters}
    stored = {text_of(tensor.name): prod(tensor.dims) for tensor in ctx.model.graph.initializer}
    found = {name for name in (*stored, *_names_of(ctx)) if is_specific(name)}

    def fits(name: str) -> bool:
        """Whether the map knows a name; one of a parameter only for as many values."""
        size = stored.get(name)
        return any(each in known or (each in sizes and size in (None, sizes[each])) for each in _originals(name))

    shared = sum(map(fits, found))
    if shared < _FEW:
        return None
    return Evidence("names", f"the map knows {shared} of {len(found)} specific names", _worth(shared, len(found)))


def _worth(part: int, whole: int) -> float:
    """How many bits a share of names is worth: of 684 strangers none shares half of them."""
    return min(ENOUGH, 2 * ENOUGH * part / max(1, whole))


def _known_names(tree: HierarchyMap) -> set[str]:
    """Names of the saved graph but for parameters."""
    graph, known = tree.graph, set[str]()
    for node in graph.nodes if graph is not None else ():
        known.update(node.outputs)
        known.add(node.name)
    known.update(graph.initializers if graph is not None else ())
    return known.difference(parameter.name for parameter in tree.parameters)


def _names_of(ctx: Context) -> Iterator[str]:
    for op in ctx.ops:
        yield text_of(op.node.name)
        yield from map(text_of, op.node.output)


def _originals(name: str) -> Iterator[str]:
    yield name
    yield from called_after(name, (*TENSORS, *CONVERTED))


def is_specific(name: str) -> bool:
    """Whether a name says more than which operator made the tensor and how many there were before.

    Examples
    --------
    >>> [is_specific(name) for name in ("linear_3", "val_12", "/MatMul_1_output_0", "onnx::MatMul_307", "add_1")]
    [False, False, False, False, False]
    >>> is_specific("encoder.layer.0.query.weight"), is_specific("/encoder/layer.0/query/MatMul_output_0")
    (True, True)
    """
    if "." not in name and "/" not in name:
        return False
    return any(word.lower() not in _vocabulary() and len(word) > 1 for word in _WORDS.findall(name))


@cache
def _vocabulary() -> frozenset[str]:
    """Words that say which operator a thing is of, or that tools use."""
    operators = {schema.name.lower() for schema in onnx.defs.get_all_schemas()}
    operations = {word for name in OPERATIONS for word in (name, *name.split("_"))}
    return frozenset(operators | operations | set(_OWN_WORDS.split()))


def metadata(ctx: Context, tree: HierarchyMap) -> Evidence | None:
    """The modules that the metadata and the scopes of the file's nodes name, if the map has them."""
    bare = Context(ctx.model, replace(tree, graph=None))
    PassManager([Match()]).run_in(bare)
    inner = sum(bool(tag.module) for tag in bare.tags.values())
    if inner < _FEW:
        return None
    says = f"{inner} of {len(ctx.ops)} nodes name a module that the map has"
    return Evidence("metadata", says, _worth(inner, len(ctx.ops)))


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a file and a map have in common, each as a share from 0 to 1, and of how many.

    Attributes
    ----------
    shapes : tuple of (float, int)
        Sizes of matrices in order of use.
    nodes : tuple of (float, int)
        Nodes that the saved graph has, by operator, inputs and outputs.
    operators : tuple of (float, int)
        Operators, each with those before it; of a captured run, operations.
    """

    shapes: tuple[float, int]
    nodes: tuple[float, int]
    operators: tuple[float, int]

    @classmethod
    def of(
        cls, ctx: Context, tree: HierarchyMap, stored: Sequence[StoredWeight], parameters: Sequence[Parameter]
    ) -> Likeness:
        """Compare a file with a map."""
        return cls(shapes(stored, parameters), same_nodes(ctx), structure(ctx, tree))

    @property
    def same(self) -> bool:
        """Whether the file is of one architecture with the map's model."""
        return (
            (self.shapes[1] >= 4 and self.shapes[0] >= _SAME_SHAPES)
            or (self.nodes[1] >= 8 and self.nodes[0] >= _SAME_NODES)
            or (self.operators[1] >= 8 and self.operators[0] >= _SAME_OPERATORS)
        )

    @property
    def worth_of_nodes(self) -> float:
        """How many bits the nodes are worth that the saved graph has."""
        return 12 * self.nodes[0] if self.nodes[0] >= _SAME_NODES else 0.0

    @property
    def evidence(self) -> Evidence:
        """What all of that is worth together."""
        share, count = self.operators
        # No stranger of the zoo has all operators in common, but of a few there are few ways to arrange them.
        alike = min(12.0, 2 + 1.5 * count) if share > _ALL and count >= _FEW else 3.0 if share >= 0.8 else 0.0
        sizes = 4.0 if self.shapes[1] >= 4 and self.shapes[0] >= _SAME_SHAPES else 0.0
        # So many sizes in one order are those of one architecture.
        sizes = ENOUGH if self.shapes[1] >= _MANY_SHAPES and self.shapes[0] >= _ALL_SHAPES else sizes
        parts = {"sizes of weights": self.shapes, "nodes": self.nodes, "operators": self.operators}
        told = ", ".join(f"{100 * part:.0f} % of {whole} {name}" for name, (part, whole) in parts.items() if whole)
        return Evidence("structure", f"file and map share {told or 'no node'}", max(alike, self.worth_of_nodes) + sizes)


def shapes(stored: Sequence[StoredWeight], parameters: Sequence[Parameter]) -> tuple[float, int]:
    """How far the sizes of matrices agree with the map's, in order of use: a share, and of how many."""
    found = [weight.size for weight in stored if len(weight.shape) > 1][:_LONGEST]
    known = [prod(each.shape) for each in _distinct(parameters) if len(each.shape) > 1][:_LONGEST]
    if not found or not known:
        return 0.0, 0
    blocks = SequenceMatcher(None, found, known, autojunk=False).get_matching_blocks()
    return 2 * sum(block.size for block in blocks) / (len(found) + len(known)), len(found)


def _distinct(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Parameters without those of the same values, which a file stores once."""
    return list({(each.shape, each.digests) if any(each.digests) else each.name: each for each in parameters}.values())


def same_nodes(ctx: Context) -> tuple[float, int]:
    """The share of nodes that the saved graph has, by operator, inputs and outputs, and how many there are."""
    found = ctx.get(SameNodes)
    return sum(place >= 0 for place in found) / max(1, len(found)), len(found)


def structure(ctx: Context, tree: HierarchyMap) -> tuple[float, int]:
    """How far the operators agree with the map's: a share, and of how many."""
    index = ctx.get(SavedGraphIndex)
    if index is None:
        return _as_run(ctx, tree)
    saved = _edges((node.op, node.inputs, node.outputs) for node in index.graph.nodes)
    found = _edges((op.node.op_type, op.node.input, op.node.output) for op in ctx.ops)
    whole = saved.total() + found.total()
    return (2 * (saved & found).total() / whole if whole else 0.0), found.total()


def _edges(nodes: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> Counter[tuple[str, str]]:
    """The operators that compute, each with those before it; what moves or converts values is passed through."""
    made: dict[str, frozenset[str]] = {}
    found: Counter[tuple[str, str]] = Counter()
    for kind, inputs, outputs in nodes:
        before = frozenset().union(*(made.get(name, frozenset()) for name in inputs))
        if kind in _SILENT:
            made.update(dict.fromkeys(outputs, before))
            continue
        found.update((each, kind) for each in before or ("",))
        made.update(dict.fromkeys(outputs, frozenset({kind})))
    return found


_SILENT = MOVES | CONVERTERS | {"Constant", "Shape", "Concat", "Gather", "ConstantOfShape", "Dropout"}


def _as_run(ctx: Context, tree: HierarchyMap) -> tuple[float, int]:
    """The same with a captured run, whose operations are written as one or more operators each."""
    found = Counter(op.node.op_type for op in ctx.ops if op.node.op_type not in _SILENT)
    run = [operation.operator for operation in tree.trace if not operation.view and _computes(operation.operator)]
    left, matched = Counter(found), 0
    for name in run:
        kind = next((each for each in writes(name) if left[each] > 0), None)
        if kind is not None:
            left[kind] -= 1
            matched += 1
    count = found.total()
    # An operation may take several nodes, so the rest is explained by what operations are written as at all.
    possible = {kind for name in run for kind in writes(name)}
    explained = sum(number for kind, number in found.items() if kind in possible)
    return (min(matched / len(run), explained / count) if run and count else 0.0), count


def _computes(operation: str) -> bool:
    return not writes(operation) <= _SILENT


def layers(
    stored: Sequence[StoredWeight], tree: HierarchyMap, parameters: Sequence[Parameter]
) -> dict[str, tuple[int, int]]:
    """Stacks of equal layers of which the file has another number than the map: path to (in the map, in the file).

    A stack counts if of its layers' matrices most are missing, or there once more, equally often by their sizes, and
    hardly any the other way; other weights may be of these sizes, too. Stacks whose layers have sizes in common, as
    those of an encoder and a decoder, are taken to have lost or gained as many layers each.
    """
    distinct = [each for each in _distinct(parameters) if len(each.shape) > 1]
    in_map = sizes_of(distinct)
    apart = sizes_in(stored, in_map)
    apart.subtract(in_map)
    if not any(apart[size] for size in in_map):
        # As many of each size: the modules need not be looked at, which takes longer than all before.
        return {}
    # What only one layer of a stack has, as T5's table of positions, is no part of the others.
    common = {path: (len(blocks), _in_all(blocks)) for path, blocks in _stacks(tree, distinct).items()}
    found: dict[str, tuple[int, int]] = {}
    for group in _overlapping({path: block for path, (_, block) in common.items()}):
        sizes = Counter[int]()
        for path in group:
            sizes.update(common[path][1])
        number = _repeated(sizes, apart)
        if number and all(common[path][0] + number > 0 for path in group):
            found.update({path: (common[path][0], common[path][0] + number) for path in group})
    return found


def sizes_of(parameters: Iterable[Parameter]) -> Counter[int]:
    """Sizes of a map's matrices and how often each occurs; those of equal values count once."""
    return Counter(prod(each.shape) for each in _distinct(parameters) if len(each.shape) > 1)


def sizes_in(stored: Sequence[StoredWeight], in_map: Collection[int]) -> Counter[int]:
    """Sizes of a file's matrices and how often each occurs; of two or three in one, those of the parts."""
    found = Counter[int]()
    for weight in stored:
        if len(weight.shape) > 1:
            parts = (count for count in (1, *JOINED) if weight.size % count == 0 and weight.size // count in in_map)
            count = next(parts, 1)
            found[weight.size // count] += count
    return found


def _in_all(blocks: Sequence[Counter[int]]) -> Counter[int]:
    """What all layers of a stack have."""
    return reduce(and_, blocks)


def _overlapping(blocks: Mapping[str, Counter[int]]) -> list[list[str]]:
    """Stacks in groups of those that have sizes in common, directly or by others."""
    groups: list[tuple[list[str], set[int]]] = []
    for path, block in blocks.items():
        mine, sizes = [path], set(block)
        for other in [group for group in groups if not sizes.isdisjoint(group[1])]:
            groups.remove(other)
            mine, sizes = other[0] + mine, sizes | other[1]
        groups.append((mine, sizes))
    return [paths for paths, _ in groups]


def _repeated(sizes: Mapping[int, int], apart: Mapping[int, int]) -> int:
    """How many times more the sizes of a layer are there, negative for less often, if most of them agree; else 0."""
    times = Counter[float]()
    for size, count in sizes.items():
        times[apart[size] / count] += count
    if not times:
        return 0
    number, votes = max(times.items(), key=itemgetter(1))
    # Of the only layer of a stack it cannot be seen what others would not have: a few sizes may be as often as before.
    whole, signs = sum(sizes.values()), [number * other for other in times]
    # A few may be there less often though layers were added: tools compute tables of positions in advance.
    least, share = min(signs), votes / whole
    agree = whole > 1 and share > (1 / 2 if least > 0 else 2 / 3 if least == 0 else 4 / 5)
    return int(number) if agree and number.is_integer() else 0


def _stacks(tree: HierarchyMap, parameters: Iterable[Parameter]) -> dict[str, list[Counter[int]]]:
    """Modules of numbered children of one class to the sizes of the matrices in each child."""
    inside: dict[str, Counter[int]] = {}
    for parameter in parameters:
        path = parameter.owner
        while path:
            inside.setdefault(path, Counter())[prod(parameter.shape)] += 1
            path = path.rpartition(".")[0]
    used = _used(tree)
    found: dict[str, list[Counter[int]]] = {}
    kinds: dict[str, set[str]] = {}
    for module in tree.modules:
        around, _, last = module.path.rpartition(".")
        if last.isdecimal() and module.path in inside and (not used or module.path in used):
            found.setdefault(around, []).append(inside[module.path])
            kinds.setdefault(around, set()).add(module.class_name)
    return {path: blocks for path, blocks in found.items() if len(kinds[path]) == 1}


def _used(tree: HierarchyMap) -> set[str]:
    """Modules with nodes in the saved graph, and those around them: what was cut off at export is in no file."""
    found: set[str] = set()
    for node in tree.graph.nodes if tree.graph is not None else ():
        for path in node.tag.modules if node.tag is not None else ():
            while path and path not in found:
                found.add(path)
                path = path.rpartition(".")[0]
    return found
