"""From modules to the nodes that a quantiser is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.whole import read_whole
from onnx_tagger.hierarchy.globs import select
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.model.metadata import Tag
from onnx_tagger.runtime.profiles import name_nodes
from onnx_tagger.runtime.quantising.quantisers import OPERATORS
from onnx_tagger.workflows.checking import read_tags


@dataclass(frozen=True)
class Quantisable:
    """A node that a quantiser takes.

    Attributes
    ----------
    name : str
    module : str
        Path of the module that it is tagged with.
    weights : int
        Values of the weight that it reads; 0 if it reads none.
    """

    name: str
    module: str
    weights: int


@dataclass(frozen=True)
class Subject:
    """A tagged float file, all of whose nodes have names.

    Attributes
    ----------
    path : Path
        A copy of the file where nodes lacked names, else the file itself.
    model : onnx.ModelProto
    tree : ModuleTree
    nodes : tuple of Quantisable
        In the order of the file.
    modules : dict
        Name of any node to the module that it is tagged with; without those that have no tag.
    """

    path: Path
    model: onnx.ModelProto
    tree: ModuleTree
    nodes: tuple[Quantisable, ...]
    modules: dict[str, str]

    @classmethod
    def of(cls, source: Path, folder: Path, hierarchy: MapSource | None = None) -> Subject:
        """Read a file; a folder takes the copy.

        Raises
        ------
        TaggerError
            If it has no tags, or no node that a quantiser takes.
        """
        model = read_whole(source)
        ctx = read_tags(model, load_map(hierarchy) if hierarchy is not None else None)
        if ctx.hierarchy is None or not ctx.tags:
            raise TaggerError(f"{source}: has no tags to choose modules by; tag it first, with export or retag")
        path = source
        if name_nodes(model) or source.resolve().parent != folder.resolve():
            path = folder / "named.onnx"
            onnx.save(model, path)
        stored = {tensor.name: prod(tensor.dims) for tensor in model.graph.initializer}
        tags = {op.node.name: tag for op, tag in ctx.tags.items() if op.scope.name == "main"}
        nodes = tuple(_quantisable(model.graph, tags, stored))
        if not nodes:
            raise TaggerError(f"{source}: has no {', '.join(OPERATORS)} with a tag, which are what is quantised")
        return cls(path, model, ModuleTree(ctx.hierarchy), nodes, {name: tag.module for name, tag in tags.items()})

    def chosen(self, only: Sequence[str], keep: Sequence[str]) -> list[Quantisable]:
        """The nodes of some modules and of what is inside, less those of others.

        Raises
        ------
        TaggerError
            If a pattern names no module, or no node is left.
        """
        wanted = self._inside(only) if only else None
        kept = self._inside(keep)
        found = [node for node in self.nodes if (wanted is None or node.module in wanted) and node.module not in kept]
        if not found:
            raise TaggerError(
                "no node is left to quantise: none of the modules that are chosen has a "
                f"{', '.join(OPERATORS)}; see them with onnx-tagger nodes --op MatMul"
            )
        return found

    def kept(self, quantised: Iterable[Quantisable]) -> frozenset[str]:
        """Names of the nodes of modules of which none is quantised."""
        modules = {node.module for node in quantised}
        return frozenset(name for name, module in self.modules.items() if module not in modules)

    def _inside(self, patterns: Iterable[str]) -> set[str]:
        chosen = {module.path for pattern in patterns for module in select(self.tree, pattern)}
        inside = {path for path in chosen if path in self.modules.values()}
        for module in set(self.modules.values()) - inside:
            around = module
            while around:
                around = around.rpartition(".")[0]
                if around in chosen:
                    inside.add(module)
                    break
        return inside


def by_module(nodes: Iterable[Quantisable]) -> dict[str, list[Quantisable]]:
    """Nodes by the module that they are tagged with."""
    found: dict[str, list[Quantisable]] = {}
    for node in nodes:
        found.setdefault(node.module, []).append(node)
    return found


def _quantisable(graph: onnx.GraphProto, tags: dict[str, Tag], stored: dict[str, int]) -> Iterable[Quantisable]:
    for node in graph.node:
        if node.op_type in OPERATORS and node.domain in ("", "ai.onnx") and node.name in tags:
            weights = stored.get(node.input[1], 0) if len(node.input) > 1 else 0
            yield Quantisable(node.name, tags[node.name].module, weights)
