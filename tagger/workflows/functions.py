"""Modules of a file as local functions, and the way back: read, folded or made flat, and written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.whole import load_whole, write_whole
from onnx_tagger.files.wire import open_file
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.model import metadata
from onnx_tagger.model.arguments import insist_on, path_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.folding.folding import Folded, FoldModules, Left
from onnx_tagger.passes.folding.functions import DOMAIN
from onnx_tagger.passes.folding.inlining import InlineModules
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

Target = str | os.PathLike[str]


@dataclass(frozen=True)
class Functions:
    """What `functions` has made of a file.

    Attributes
    ----------
    nodes_before, nodes_after : int
        Nodes of the main graph.
    calls : dict
        Function name to how many calls it has, counting those in shared functions once for each of their calls.
    left : list of Left
        The modules that stay in line, and why.
    """

    nodes_before: int
    nodes_after: int
    calls: dict[str, int]
    left: list[Left] = field(default_factory=list)

    def __repr__(self) -> str:
        nodes = f"{self.nodes_before} -> {counted(self.nodes_after, 'node')}"
        return brief(self, nodes, counted(len(self.calls), "function"), f"{counted(len(self.left), 'module')} left")


@collector_paused()
def functions(
    model: Target,
    target: Target,
    *,
    hierarchy: MapSource | None = None,
    depth: int | None = None,
    share: bool = True,
    inline: bool = False,
) -> Functions:
    """Write a file in which modules are local functions, or a flat one.

    A module whose nodes can be one call becomes a function named by its class, in the domain `DOMAIN`; one that cannot,
    since what it computes leaves it and comes back, stays in line. Equal modules share a function, whose nodes have the
    modules of all calls as origins. The outputs are the same.

    Parameters
    ----------
    model, target : path
        The file to read, with tags, and the one to write.
    hierarchy : HierarchyMap or path, optional
        The map, for a file whose own metadata does not say enough.
    depth : int, optional
        Levels below the root whose modules become functions; all if left out.
    share : bool
        One function for equal modules.
    inline : bool
        Make the file flat again: put the nodes of such functions in the place of their calls.

    Returns
    -------
    Functions

    Raises
    ------
    TaggerError
        If an input cannot be used or the target not be written, no node has a tag, or modules are functions already.

    Examples
    --------
    >>> import tempfile
    >>> from onnx import helper
    >>> import onnx_tagger as ot
    >>> nodes = [helper.make_node("Relu", [x], [y], y) for x, y in ("xa", "ay")]
    >>> for node in nodes:
    ...     ot.write_tag(node, ot.Tag(node.name, f"/Net/ReLU.{node.name}", ot.Source.EXPORTED))
    >>> values = [helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = ot.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), f"{folder}/flat.onnx")
    ...     made = functions(f"{folder}/flat.onnx", f"{folder}/folded.onnx")
    >>> made.calls, made.nodes_after
    ({'ReLU': 2}, 2)
    """
    source, place = path_of(model, "the model"), path_of(target, "the target")
    insist_on(depth, (int, type(None)), "the depth", "a number of levels from 1, or None for all")
    if depth is not None and depth < 1:
        raise TaggerError(f"the depth is {depth}; give a number of levels from 1")
    if same_file(place, source):
        raise TaggerError(f"{target}: is the input file; choose another output")
    with open_file(source):  # what is no readable file is said there
        pass
    permissions_of(place)
    whole = load_whole(source, place)
    tree = load_map(hierarchy) if hierarchy is not None else hierarchy_of_model(whole)
    ctx = Context(whole, tree)
    PassManager([Match()]).run_in(ctx)
    if not ctx.tags:
        raise TaggerError(f"{model}: no node has a tag; tag it first with retag, or give its map with --map")
    before = len(whole.graph.node)
    try:
        folded = _made_flat(ctx) if inline else _fold(ctx, depth, share)
    except TaggerError as error:
        raise TaggerError(f"{model}: {error}") from error
    made = Functions(
        before, len(whole.graph.node), {each.name: len(each.calls) for each in folded.functions}, folded.left
    )
    write_whole(whole, None, source, place, False)
    return made


def _fold(ctx: Context, depth: int | None, share: bool) -> Folded:
    folded = Folded()
    forced = metadata.model_value(ctx.model, metadata.FORCED)
    # Every node says its own tag before it moves, whatever carrier it was read from.
    PassManager([Inject()]).run_in(ctx)
    metadata.mark_forced(ctx.model, forced)
    FoldModules(depth, share, folded).run(ctx)
    return folded


def _made_flat(ctx: Context) -> Folded:
    if not any(function.domain == DOMAIN for function in ctx.model.functions):
        raise TaggerError("holds no modules as functions; leave out --inline to make some")
    InlineModules().run(ctx)
    return Folded()
