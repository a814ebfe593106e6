"""Functions of other libraries as passes: they change the graph, and the tags are carried across.

graphsurgeon drops node metadata, onnxscript's rewriter gives a fused node that of one of its parts; so what either
leaves is aligned with the graph as it was before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import onnx

from onnx_tagger.errors import PassError, require
from onnx_tagger.hierarchy.map import SavedGraph
from onnx_tagger.model import metadata
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match


@dataclass(frozen=True)
class GraphSurgeonPass(Pass):
    """Run an onnx-graphsurgeon function on the model and carry the tags across.

    Parameters
    ----------
    fn : callable
        Takes a `onnx_graphsurgeon.Graph` and changes it in place, or returns another one.

    Raises
    ------
    MissingExtraError
        If onnx-graphsurgeon is not installed.
    PassError
        If the model lacks its weights.
    """

    name = "graphsurgeon"
    touches = Touches.TOPOLOGY | Touches.TAGS | Touches.METADATA

    fn: Callable[[Any], Any]

    def run(self, ctx: Context) -> int:
        """Return how many nodes the model has afterwards: all of them are new."""
        require("onnx_graphsurgeon", "surgeon", "GraphSurgeonPass")
        import onnx_graphsurgeon as gs

        _insist_on_weights(ctx.model)
        whole = onnx.ModelProto()
        whole.CopyFrom(ctx.model)
        graph = gs.import_onnx(whole)
        made = self.fn(graph)
        changed = gs.export_onnx(graph if made is None else made, do_type_check=False)
        _take_over(ctx, changed)
        return len(ctx.ops)


@dataclass(frozen=True)
class OnnxscriptPass(Pass):
    """Run a function of onnxscript or onnx-ir on the model and carry the tags across.

    Parameters
    ----------
    fn : callable
        Takes an `onnx_ir.Model` and changes it in place, or returns another one: `onnxscript.optimizer.optimize`,
        `onnxscript.rewriter.rewrite`, the `apply_to_model` of a rule set, a pass object of `onnx_ir.passes`.

    Raises
    ------
    MissingExtraError
        If onnx-ir, which comes with onnxscript, is not installed.
    PassError
        If the model lacks its weights, or `fn` returns something else.
    """

    name = "onnxscript"
    touches = Touches.TOPOLOGY | Touches.TAGS | Touches.METADATA

    fn: Callable[[Any], Any]

    def run(self, ctx: Context) -> int:
        """Return how many nodes the model has afterwards: all of them are new."""
        require("onnx_ir", "torch", "OnnxscriptPass")
        import onnx_ir as ir

        _insist_on_weights(ctx.model)
        graph = ir.from_proto(ctx.model)
        made = self.fn(graph)
        # A pass object returns the model in a result, a rule set the number of its matches.
        made = made.model if isinstance(made, ir.passes.PassResult) else made
        if isinstance(made, int) or made is None:
            made = graph
        if not isinstance(made, ir.Model):
            raise PassError(f"the function returned {type(made).__name__}: return an onnx_ir.Model, or nothing")
        _take_over(ctx, ir.to_proto(made))
        return len(ctx.ops)


_PAYLOADS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def _insist_on_weights(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        stored = tensor.data_location == onnx.TensorProto.EXTERNAL or any(getattr(tensor, name) for name in _PAYLOADS)
        if not stored and 0 not in tensor.dims:
            raise PassError(f"the weight {tensor.name!r} was left out on reading: run this pass on onnx.load(...)")


def _take_over(ctx: Context, changed: onnx.ModelProto) -> None:
    """Put a changed graph into the context's model and find its tags from the old ones."""
    tree = ctx.hierarchy
    before = SavedGraph.of(ctx.walk, [ctx.tags.get(op) for op in ctx.ops])
    model_entries = [(entry.key, entry.value) for entry in ctx.model.metadata_props]
    ctx.model.CopyFrom(changed)
    known = {entry.key for entry in ctx.model.metadata_props}
    metadata.add_entries(ctx.model, [entry for entry in model_entries if entry[0] not in known])
    if tree is None:
        ctx.drop(Touches.TOPOLOGY)
        return
    fresh = Context(ctx.model, replace(tree, graph=before))
    PassManager([Match(own=False, dialects=()), Align(), Inherit(fallback=False)]).run_in(fresh)
    ctx.drop(Touches.TOPOLOGY)
    ctx.tags.clear()
    for op, other in zip(ctx.ops, fresh.ops, strict=True):
        tag = fresh.tags.get(other)
        if tag is not None:
            ctx.tags[op] = tag
