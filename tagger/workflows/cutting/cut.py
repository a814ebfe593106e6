"""A tagged file opened for cutting: its main graph, its tags, and the borders of modules with their types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.parts import insist_on_parts
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.metadata import Tag, also_of
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.cutting.layouts import blocked_tensors, channels_of
from onnx_tagger.workflows.cutting.naming import border_names
from onnx_tagger.workflows.cutting.region import Cutter, NotExtractedError, Region, lies_under
from onnx_tagger.workflows.reading import Tagged
from onnx_tagger.workflows.splitting.borders import typed
from onnx_tagger.workflows.splitting.maingraph import MainGraph, main_graph


@dataclass(frozen=True)
class Choice:
    """How modules are cut.

    Attributes
    ----------
    call : int or None
        Which of a module's calls; all of them if left out.
    fused : "include" or "exclude"
        What to do with nodes that do work of modules outside, too.
    names : "torch" or "file"
        What the border is called.
    back : "refuse" or "drop"
        What to do with nodes whose results come back through other nodes.
    """

    call: int | None = None
    fused: str = "include"
    names: str = "torch"
    back: str = "refuse"

    def __repr__(self) -> str:
        return brief(self, self.fused, self.names, self.back)


@dataclass(frozen=True)
class Cut:
    """A module that can be a file.

    Attributes
    ----------
    module : str
    region : Region
    names : dict
        Tensor at the border to what the part calls it.
    """

    module: str
    region: Region
    names: dict[str, str]

    def __repr__(self) -> str:
        return brief(self, self.module, counted(len(self.region.nodes), "node"))


@dataclass
class Opened:
    """A tagged file whose modules are cut.

    Attributes
    ----------
    path : Path
    skeleton : Skeleton
    tagged : Tagged
    """

    path: Path
    skeleton: Skeleton
    tagged: Tagged
    types: dict[str, onnx.ValueInfoProto] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, path: Path, map: MapSource | None) -> Opened:  # noqa: A002 - the option's name everywhere
        """Read a file.

        Raises
        ------
        TaggerError
            If it cannot be read, holds no tags, or parts of it cannot be copied.
        """
        skeleton = read_skeleton(path)
        insist_on_parts(skeleton)
        tagged = Tagged(read_tags(skeleton.model, load_map(map) if map is not None else None), str(path))
        opened = cls(path, skeleton, tagged)
        if not any(opened.tags) and not tagged.context.tags:
            raise TaggerError(f"{path}: no node has a tag; tag it first with retag, or give its map with --map")
        return opened

    @cached_property
    def graph(self) -> MainGraph:
        """Its main graph."""
        return main_graph(self.tagged.context)

    @cached_property
    def tags(self) -> list[Tag | None]:
        """The tag of each node of the main graph."""
        context = self.tagged.context
        return [context.tags.get(context.ops[index]) for index in self.graph.ids]

    @cached_property
    def tree(self) -> HierarchyMap:
        """Its modules; those that the nodes name where there is no map."""
        tree = self.tagged.context.hierarchy
        if tree is None:
            raise TaggerError(f"{self.path}: says nothing of its modules; give its map with --map")
        return tree

    @cached_property
    def cutter(self) -> Cutter:
        """What finds regions."""
        return Cutter(self.graph, list(self.skeleton.model.graph.node), self.tags)

    @cached_property
    def blocked(self) -> frozenset[str]:
        """Tensors in onnxruntime's blocked layout."""
        return blocked_tensors(self.graph, self.cutter.nodes)

    @cached_property
    def also(self) -> tuple[str, ...]:
        """The dialects that it carries."""
        return also_of(self.skeleton.model)

    def cut(self, module: str, choice: Choice) -> Cut:
        """Cut a module.

        Raises
        ------
        NotExtractedError
            If it cannot be a file; says why.
        """
        inside = self.cutter.members(module, choice.call, choice.fused)
        if not inside:
            raise NotExtractedError(self._why_nothing(module, choice))
        try:
            region = self.cutter.region(inside, choice.back)
        except NotExtractedError as error:
            calls = len(self.cutter.calls(module, inside))
            if choice.call is None and calls > 1:
                raise NotExtractedError(
                    f"it is called {calls} times, and other modules work between its calls; "
                    f"name one with --call 0 to {calls - 1}"
                ) from error
            raise
        return Cut(module, region, border_names(region, self.graph, self.tags, choice.names))

    def _why_nothing(self, module: str, choice: Choice) -> str:
        shared = self.cutter.members(module, None, "include")
        if choice.fused == "exclude" and shared:
            return "its work is done by nodes that do work of other modules, too; take them with --fused include"
        for op, tag in self.tagged.context.tags.items():
            apart = op.scope.owner is not None or op.scope.family != "main"
            if apart and any(lies_under(path, module) for path in tag.modules):
                return f"its nodes are in {op.scope.name}, and only those of the main graph can be taken"
        return "no node does work of it: it was fused away, folded, or never called"

    def ask_types(self, names: Collection[str]) -> None:
        """Find out the types of tensors, once for all."""
        wanted = [name for name in dict.fromkeys(names) if name not in self.types]
        if wanted:
            self.types |= typed(self.skeleton.model, wanted, self._ask)

    def _ask(self, names: list[str]) -> Mapping[str, onnx.ValueInfoProto]:
        from onnx_tagger.runtime.bordertypes import types_of

        return types_of(self.path, self.skeleton, names)

    def channels(self, cut: Cut) -> dict[str, int]:
        """The blocked tensors at a border with their channels."""
        return {name: channels_of(self.types[name]) for name in cut.names if name in self.blocked}
