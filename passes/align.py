"""Tags for the nodes of a file that a tool has changed: regions between tensors that both graphs have.

Tensors that are the same in both graphs are cut points (`correspondence`). The nodes of the new graph that others
connect form a region; what the saved graph computes between the same cut points (`cones`) is what the region computes.
Its nodes are assigned to those of the region (`assignment`); their modules are the origins. Nodes that are known
outright are `match`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from onnx_tagger.errors import PassError
from onnx_tagger.hierarchy.map import HierarchyMap, Merge
from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.alignment.renames import NODES, TENSORS, called_after
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow
from onnx_tagger.passes.analyses.saved import SavedGraphIndex, SavedIndex
from onnx_tagger.passes.analyses.sizes import Idle, OnlySizes
from onnx_tagger.passes.analyses.weights import Anchors, StoredWeights, WeightOwners
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.replay.operators import CONVERTERS
from onnx_tagger.passes.replay.replay import place_by_run
from onnx_tagger.passes.replay.run import CapturedRun

# Of a file that shares fewer of its tensors with the saved graph, the captured run is asked as well: it was exported by
# other means, or all of it was renamed.
LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Align(Pass):
    """Tag what a tool has fused, renamed or inserted, from the saved graph's region that it replaces.

    Parameters
    ----------
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of several modules: that of the innermost module that encloses them,
        or that of the operation whose output survives. The origins are kept either way.
    weights : bool
        Whether nodes that neither names nor regions identify are compared with the captured run, by the weights that
        they read.
    distrusted : collection of str
        Tensors of the main graph whose values differ from those of the same name in the saved graph, as `verify` finds
        them: they are no cut points.
    """

    name = "align"
    requires = (DataFlow, SavedGraphIndex, StoredWeights, WeightOwners, CapturedRun, OnlySizes, Idle)
    touches = Touches.TAGS

    merge: Merge = "enclosing"
    weights: bool = True
    distrusted: Collection[str] = ()

    def __post_init__(self) -> None:
        if self.merge not in ("enclosing", "output"):
            raise PassError(f"align: merge is {self.merge!r}, choose 'enclosing' or 'output'")

    def run(self, ctx: Context) -> int:
        """Return how many nodes got a tag."""
        tree, before = ctx.hierarchy, len(ctx.tags)
        if tree is None:
            return 0
        index = ctx.get(SavedGraphIndex)
        by_run = self.weights and bool(tree.parameters)
        foreign = by_run and index is not None and _known_share(ctx, index) < LEAST_SHARE
        if index is not None and before < len(ctx.ops):
            # A file whose nodes are all known does without the time and memory that these take to be loaded.
            from onnx_tagger.passes.alignment.correspondence import Correspondence
            from onnx_tagger.passes.alignment.regions import Regions

            weights = (ctx.get(StoredWeights), ctx.get(WeightOwners)) if by_run else ({}, {})
            same = Correspondence(ctx, tree, index, ctx.get(DataFlow), *weights, self.distrusted)
            Regions(ctx, tree, same, self.merge).place_all()
        if by_run and (index is None or foreign):
            place_by_run(ctx, tree, ctx.get(StoredWeights), self.merge)
            Anchors(ctx, tree, ctx.get(DataFlow), ctx.get(WeightOwners)).place()
        if (by_run or index is not None) and len(ctx.tags) < len(ctx.ops):
            _convert(ctx, tree, ctx.get(DataFlow))
        return len(ctx.tags) - before


def _convert(ctx: Context, tree: HierarchyMap, flow: Flow) -> None:
    """Give converters that are left the tags of what they convert: of its maker or, if it has none, of its readers."""
    left = [op for op in map(ctx.ops.__getitem__, flow.order) if op not in ctx.tags and op.node.op_type in CONVERTERS]
    given: dict[Op, None] = {}
    for op in left:
        key = flow.inputs[op.id][0] if flow.inputs[op.id] else None
        maker = flow.producer.get(key) if key is not None else None
        tag = ctx.tags.get(ctx.ops[maker]) if maker is not None else None
        if tag is not None and maker is not None:
            ctx.tags[op] = tag.worse(Source.ALIGNED)
            ctx.evidence[op] = max(Evidence.STRUCTURE, ctx.rests_on(ctx.ops[maker]))
        elif key is not None and (maker is None or ctx.ops[maker] in given):
            given[op] = None
    for op in reversed(given):
        readers = [ctx.tags.get(ctx.ops[reader]) for reader in flow.graph.succ[op.id]]
        known = [tag for tag in readers if tag is not None]
        if known and len(known) == len(readers):
            ctx.tags[op] = tree.merged(known, best=Source.ALIGNED)


def _known_share(ctx: Context, index: SavedIndex) -> float:
    """The share of the nodes that make a tensor of the saved graph; constants and converters count only if they do."""
    known = total = 0
    enough = LEAST_SHARE * len(ctx.ops)
    for op in ctx.ops:
        if known >= enough:
            # Whatever the others are, the file is no foreign one.
            return known / len(ctx.ops)
        found = any((op.scope.family, name) in index.by_output for name in _names_of(op))
        known += found
        total += found or (op.node.op_type != "Constant" and op.node.op_type not in CONVERTERS)
    return known / total if total else 1.0


def _names_of(op: Op) -> Iterator[str]:
    """What may tell a node: its tensors, and what it and they are called after."""
    yield from op.node.output
    yield from called_after(op.node.name, NODES)
    for name in op.node.output:
        yield from called_after(name, TENSORS)
