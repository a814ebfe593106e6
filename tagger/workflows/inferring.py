"""A map and tags from a file alone: from what its own names say, where it has neither tags nor a map.

How names are read is `onnx_tagger.hierarchy.inferred`'s; the nodes whose names say nothing inherit, as always.
"""

from __future__ import annotations

import os
from dataclasses import replace

import onnx

from onnx_tagger.errors import MapError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.inferred.tree import infer_tree
from onnx_tagger.hierarchy.map import HierarchyMap, Merge, SavedGraph
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.urls import place_of, shown_place
from onnx_tagger.passes.base import Context, Pass
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.passes.named import Named

Target = str | os.PathLike[str]


def passes_by_name(merge: Merge = "enclosing") -> list[Pass]:
    """What finds the tags of a file that has nothing but names: Named, Inherit."""
    return [Named(), Inherit(merge=merge, ends=False)]


@collector_paused()
def infer(model: Target) -> HierarchyMap:
    """Make a map of a file that has neither tags nor a map: of its own metadata, or else of its names.

    Parameters
    ----------
    model : path or URL
        Any ONNX file.

    Returns
    -------
    HierarchyMap
        The modules that the file names and those around them, and its graph with what is known of each node. A class
        is known only where the file says it; the tag of any other module has its attribute in place of the class,
        behind a ``~`` (``/~/~encoder/~layer.0``).

    Raises
    ------
    MapError
        If neither metadata nor names say a module.
    TaggerError
        If the file cannot be read.

    Examples
    --------
    >>> import onnx, tempfile
    >>> from onnx import helper
    >>> node = helper.make_node("Relu", ["x"], ["y"], "/blocks.0/act/Relu")
    >>> ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])), f"{folder}/m.onnx")
    ...     found = infer(f"{folder}/m.onnx")
    >>> found.graph.nodes[0].tag
    Tag(module='blocks.0.act', tag='/~/~blocks.0/~act', source=<Source.NAMED: 3>, origins=(), call=())
    """
    path = place_of(model, "the model")
    found = map_of(read_skeleton(path).model)
    if found is None:
        raise MapError(
            f"{shown_place(path)}: neither its metadata nor its names say a module; capture the model that it "
            "was made of, or give the .hierarchy.json saved at export"
        )
    return found


def map_of(model: onnx.ModelProto) -> HierarchyMap | None:
    """The same of a model that has been read; None if it says nothing of modules."""
    tree = hierarchy_of_model(model)
    ctx = Context(model, tree) if tree is not None else context_by_name(model)
    if ctx is None or ctx.hierarchy is None:
        return None
    if tree is not None:
        PassManager([Match(), Inherit()]).run_in(ctx)
    tags = [ctx.tags.get(op) for op in ctx.ops]
    return replace(ctx.hierarchy, graph=SavedGraph.of(ctx.walk, tags), digest="")


def context_by_name(model: onnx.ModelProto) -> Context | None:
    """A model with the tags that its names and inheritance give it; None if no name says a module."""
    ctx = Context(model)
    found = infer_tree(model, ctx.walk)
    if found is None:
        return None
    ctx.hierarchy = found.tree
    PassManager(passes_by_name()).run_in(ctx)
    return ctx
