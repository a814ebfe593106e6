"""Tags for the kernels of a profile: the optimised model is tagged in memory, and kernels are joined to it by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from onnx_tagger.errors import MapError
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.loading import MapSource, owners_of
from onnx_tagger.hierarchy.map import HierarchyMap, Module as Record, SavedGraph
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Joined
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import MAIN, Op
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.report import Report
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.passes.opening import reader_of_values
from onnx_tagger.workflows.checking import judge_of, open_map
from onnx_tagger.workflows.querying import id_of
from onnx_tagger.workflows.reading import Tagged

UNTAGGED = "the file names no module, and no map was given: times are by operator; give --map to have them by module"


@dataclass(frozen=True)
class Known:
    """What a kernel's name leads to.

    Attributes
    ----------
    op : Op
        The node of the optimised model.
    tag : Tag or None
    joined : "name" or "neighbours"
        ``neighbours`` for a node without a name, which is known by its place among those of its operator.
    """

    op: Op
    tag: Tag | None
    joined: Joined = "name"

    def __repr__(self) -> str:
        return brief(self, self.op.label, self.joined)

    @property
    def node(self) -> str:
        """The node's id in the optimised model."""
        return id_of(self.op)


class Optimised:
    """A model as the runtime runs it, with its tags.

    Attributes
    ----------
    context : Context
    tree : ModuleTree
        Only a root for a file that names no module.
    """

    @collector_paused()
    def __init__(self, path: Path, hierarchy: HierarchyMap | None) -> None:
        skeleton = read_skeleton(path)
        self.model: onnx.ModelProto = skeleton.model
        self.context = _tagged(skeleton, hierarchy)
        if hierarchy is None:
            self.tree = ModuleTree(HierarchyMap((Record("", "", None),)))
        else:
            self.tree = Tagged(self.context).modules
        self._by_name: dict[str, list[Op]] = {}
        self._nameless: dict[tuple[str, str], list[Op]] = {}
        for op in self.context.ops:
            if op.node.name:
                self._by_name.setdefault(op.node.name, []).append(op)
            else:
                self._nameless.setdefault((op.scope.name, op.node.op_type), []).append(op)

    def __repr__(self) -> str:
        return brief(self, counted(len(self.context.ops), "node"))

    def known(self, kernels: Mapping[str, str]) -> dict[str, Known]:
        """What the names of kernels lead to.

        Parameters
        ----------
        kernels : mapping
            Name to operator type, in the order in which they ran.
        """
        found = {name: self._named(self._by_name[name]) for name in kernels if name in self._by_name}
        left: dict[tuple[str, str], list[str]] = {}
        for name, scope in self._scopes(kernels, found).items():
            left.setdefault((scope, kernels[name]), []).append(name)
        for place, names in left.items():
            ops = self._nameless.get(place, [])
            # One more or fewer, and nobody could say which is which.
            if len(ops) == len(names):
                found |= {
                    n: Known(op, self.context.tags.get(op), "neighbours") for n, op in zip(names, ops, strict=True)
                }
        return found

    def _scopes(self, kernels: Mapping[str, str], found: Mapping[str, Known]) -> dict[str, str]:
        """The graph or body of each kernel that has no node by its name: that of a named one right beside it."""
        behind: dict[str, str] = {}
        scope = MAIN
        for name in reversed(tuple(kernels)):
            if name in found:
                scope = found[name].op.scope.name
            else:
                behind[name] = scope
        made = {}
        scope = MAIN
        for name, op_type in kernels.items():
            if name in found:
                scope = found[name].op.scope.name
            else:
                made[name] = behind[name] if (behind[name], op_type) in self._nameless else scope
        return made

    def _named(self, ops: list[Op]) -> Known:
        """The node of a name; where several have it, they lie in bodies of which their kernels are one."""
        tags = [self.context.tags.get(op) for op in ops]
        known = [tag for tag in tags if tag is not None]
        if len(ops) == 1 or len(known) < len(ops) or len({tag.module for tag in known}) == 1:
            return Known(ops[0], tags[0])
        tree = self.context.hierarchy
        assert tree is not None
        return Known(ops[0], tree.merged(known))


@collector_paused()
def map_of(skeleton: Skeleton, hierarchy: MapSource | None, where: str, *, force: bool) -> HierarchyMap | None:
    """A map whose graph is the profiled file itself, so that what the runtime makes of it can be aligned with it.

    Parameters
    ----------
    skeleton : Skeleton
    hierarchy : HierarchyMap, path or None
        A map of the model; None for what the file says itself.
    where : str
        What the file is called in messages.
    force : bool
        Take a map that is or may be another model's.

    Returns
    -------
    HierarchyMap or None
        None if the file names no module and there is no map.

    Raises
    ------
    MapError
        If the map cannot be read, or is another model's.
    """
    found = open_map(hierarchy, beside=skeleton.model) if hierarchy is not None else None
    tree = found.tree if found is not None else hierarchy_of_model(skeleton.model)
    if tree is None:
        return None
    if found is not None and not force:
        kinship = judge_of(_context(skeleton, tree), found).verdict()
        if kinship.verdict != "kin":
            raise MapError(f"{where}: {kinship.sentence}")
    ctx = _tagged(skeleton, tree)
    tags = [ctx.tags.get(op) for op in ctx.ops]
    return replace(tree, graph=SavedGraph.of(ctx.walk, tags, owners_of(ctx.walk, tags)), digest="")


def _tagged(skeleton: Skeleton, tree: HierarchyMap | None) -> Context:
    ctx = _context(skeleton, tree)
    if tree is not None:
        PassManager([Match(), Align(), Inherit()]).run_in(ctx)
    return ctx


def _context(skeleton: Skeleton, tree: HierarchyMap | None) -> Context:
    report = Report()
    return Context(skeleton.model, tree, report=report, values=reader_of_values(skeleton, report))
