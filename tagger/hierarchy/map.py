"""The hierarchy map: the module tree, the parameters, and the graph as it was exported.

It is where exporters and passes meet, so a saved map enters by the same door as a fresh one. Reading and writing the
JSON file is `file`'s; how modules are named is `naming`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.naming import ModuleRow, class_paths, parent_path
from onnx_tagger.model.graph import Walk, operator
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.texts import brief, brief_fields, counted, html_table, value_text

FORMAT = "onnx-tagger/hierarchy-map"
FORMAT_VERSION = 1

# Modules at the top of the tree that a notebook shows.
_SHOWN = 10

# Whose tag a node gets that does the work of several modules.
Merge = Literal["enclosing", "output"]


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the tree.

    Attributes
    ----------
    path : str
        Canonical dotted path, the first name in the order of `named_modules`; ``""`` for the root.
    class_name : str
        Name of its class; empty if it is not known, null in the file.
    tag : str or None
        Class path; None if the class defines no `forward`.
    parent : str or None
        Path of the module around it; None for the root.
    order : int or None
        Position among the modules in order of first call, from 0; None if it was not called.
    calls : int
        How often its `forward` ran.
    aliases : tuple of str
        Its other names, never written.
    """

    path: str
    class_name: str
    tag: str | None
    parent: str | None = None
    order: int | None = None
    calls: int = 0
    aliases: tuple[str, ...] = ()

    __repr__ = brief_fields


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter or buffer.

    Attributes
    ----------
    name : str
        Its dotted name; a tied one is listed under each of its names.
    owner : str
        Path of the module that holds it.
    shape : tuple of int
        Its shape.
    dtype : str
        Its type, as numpy or torch name it (``float32``).
    digests : tuple of (str, str)
        Of the values as stored and rounded to float16, see `digest.value_digests`.
    sketch : str
        What is left of it when it is rounded or folded, see `sketch.sketch_of`; empty if that says nothing.
    """

    name: str
    owner: str
    shape: tuple[int, ...]
    dtype: str
    digests: tuple[str, str]
    sketch: str = ""

    __repr__ = brief_fields


class SavedNode(NamedTuple):
    """One node of the exported graph, with the module that it came from if that is known.

    A named tuple, since there are as many as a graph has nodes: it is made three times as fast as a frozen dataclass.
    """

    scope: str
    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tag: Tag | None

    def __repr__(self) -> str:
        return brief_fields(self)


@dataclass(frozen=True, slots=True)
class SavedGraph:
    """The skeleton of the exported graph.

    Attributes
    ----------
    nodes : sequence of SavedNode
        In the order of the walk.
    inputs, outputs : tuple of str
        Of the main graph.
    initializers : mapping
        Name to the paths of the modules that own a parameter of these values, empty if none does.
    """

    nodes: Sequence[SavedNode]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    initializers: Mapping[str, tuple[str, ...]]

    def __repr__(self) -> str:
        sizes = {"node": self.nodes, "input": self.inputs, "output": self.outputs, "initializer": self.initializers}
        return brief(self, *(counted(len(held), noun) for noun, held in sizes.items()))

    @classmethod
    def of(
        cls, walk: Walk, tags: Sequence[Tag | None], owners: Mapping[str, tuple[str, ...]] | None = None
    ) -> SavedGraph:
        """The skeleton of a graph with what is known of each node.

        Parameters
        ----------
        walk : Walk
            Of the model.
        tags : sequence of (Tag or None)
            One for each op of the walk.
        owners : mapping, optional
            Initializer name to the modules that own a parameter of its values.
        """
        main, known = walk.scopes[0], owners or {}
        nodes = [
            SavedNode(op.scope.name, op.node.name, operator(op.node), tuple(op.node.input), tuple(op.node.output), tag)
            for op, tag in zip(walk.ops, tags, strict=True)
        ]
        stored = {name: known.get(name, ()) for name in main.initializer_names}
        return cls(nodes, tuple(main.input_names), tuple(main.output_names), stored)


class Operation(NamedTuple):
    """One operation of the captured run.

    Attributes
    ----------
    module : str
        Canonical path of the innermost module whose forward was running.
    operator : str
        Name of the ATen operation, without its overload (``addmm``).
    view : bool
        Whether it only looked at a tensor in another way.
    weights : tuple of str
        Names of the parameters and buffers that it read.
    call : tuple of str
        Which call of the module it was; empty if no module on the path is called more than once.
    reads : tuple of int
        Positions in the trace of the operations whose results it took, views left out.
    """

    module: str
    operator: str
    view: bool = False
    weights: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    reads: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return brief_fields(self)


@dataclass(frozen=True)
class HierarchyMap:
    """Module tree, parameters and, if made at export, the exported graph.

    Parameters
    ----------
    modules : tuple of Module
        The root first.
    parameters : tuple of Parameter
    graph : SavedGraph or None
    created_by : str
        Name and version of the program that made it.
    trace : tuple of Operation
        What ran, in order of time, if the map was captured.
    digest : str
        Digest of the file that it was read from; `file.digest_of` gives it for a fresh map.

    Raises
    ------
    MapError
        If two modules share a path or a tag, a parent is missing or does not hold its child, or there is no root.
    """

    modules: tuple[Module, ...]
    parameters: tuple[Parameter, ...] = ()
    graph: SavedGraph | None = None
    created_by: str = ""
    digest: str = field(default="", compare=False)
    trace: tuple[Operation, ...] = ()

    def __repr__(self) -> str:
        return brief(self, self.by_path[""].class_name, *(counted(count, noun) for noun, count in self._sizes()))

    def _repr_html_(self) -> str:
        """Counts and the top of the tree, for a notebook."""
        top = [module for module in self.modules if not module.path or "." not in module.path]
        shown = [(module.path or "(root)", module.class_name) for module in top[:_SHOWN]]
        more = [("...", f"{len(top) - _SHOWN} more")] if len(top) > _SHOWN else []
        sizes = [(f"{noun}s", count) for noun, count in self._sizes()]
        return html_table("Hierarchy map", [*sizes, *shown, *more])

    def _sizes(self) -> list[tuple[str, int]]:
        nodes = len(self.graph.nodes) if self.graph is not None else 0
        sizes = {"module": len(self.modules), "parameter": len(self.parameters), "node": nodes}
        return [*sizes.items(), *([("operation", len(self.trace))] if self.trace else [])]

    def __post_init__(self) -> None:
        if any(not isinstance(module, Module) for module in self.modules):
            raise MapError("the map's modules are no Module each: build a map with from_rows, or load one")
        paths = {module.path for module in self.modules}
        if "" not in paths:
            raise MapError("the map has no root module (path ''): it was not made by onnx-tagger, or is damaged")
        if len(paths) < len(self.modules):
            raise MapError("the map names two modules by one path: it is damaged, capture the model again")
        tags = [module.tag for module in self.modules if module.tag is not None]
        if len(set(tags)) < len(tags):
            raise MapError("the map gives two modules one tag: it is damaged, capture the model again")
        lost = next((m for m in self.modules if m.path and m.parent not in paths), None)
        if lost is not None:
            raise MapError(f"the map's module {lost.path!r} has the parent {lost.parent!r}, which it does not list")
        # So no module lies in itself, and every chain of parents ends at the root.
        astray = next((m for m in self.modules if m.path and m.parent and not m.path.startswith(f"{m.parent}.")), None)
        if astray is not None:
            raise MapError(
                f"the map's module {astray.path!r} does not lie in its parent {astray.parent!r}: it is damaged"
            )

    @classmethod
    def load(cls, path: str | Path) -> HierarchyMap:
        """Read a map from a ``.hierarchy.json[.gz]`` file, or from a tagged ``.onnx``, which is one; see `load_map`.

        Raises
        ------
        MapError
            If there is no such file, or it is no map and holds no tags.
        FileFormatError
            If it is called ``.onnx`` and is no ONNX model.
        """
        from onnx_tagger.hierarchy.loading import load_map

        return load_map(path)

    def save(self, path: str | Path) -> str:
        """Write the map to a file, gzipped if its name ends with ``.gz``, and return its digest."""
        from onnx_tagger.hierarchy.file import write_map

        return write_map(self, path)

    def with_graph(self, graph: SavedGraph) -> HierarchyMap:
        """The same map with a graph; its modules are not looked at again."""
        made = copy(self)
        object.__setattr__(made, "graph", graph)
        return made

    @cached_property
    def by_path(self) -> dict[str, Module]:
        """Modules by canonical path."""
        return {module.path: module for module in self.modules}

    @cached_property
    def by_tag(self) -> dict[str, Module]:
        """Modules by tag."""
        return {module.tag: module for module in self.modules if module.tag is not None}

    @cached_property
    def _by_name(self) -> dict[str, Module]:
        found = {alias: module for module in self.modules for alias in module.aliases}
        return found | self.by_path

    @cached_property
    def _chains(self) -> dict[str, tuple[str, ...]]:
        return {}

    @cached_property
    def _enclosing(self) -> dict[tuple[str, str], str]:
        return {}

    def resolve(self, path: str) -> Module | None:
        """The module of a path or of an alias, or None."""
        return self._by_name.get(path)

    def chain(self, path: str) -> tuple[str, ...]:
        """Paths of the tagged modules from the root to `path`, both included."""
        found = self._chains.get(path)
        if found is None:
            if path not in self.by_path:
                raise MapError(
                    f"the map has no module {value_text(path)}: give the path of one, see HierarchyMap.by_path"
                )
            steps = [path]
            while path:
                path = self.by_path[path].parent or ""
                steps.append(path)
            found = tuple(p for p in reversed(steps) if self.by_path[p].tag is not None or not p)
            self._chains[steps[0]] = found
        return found

    def enclosing(self, paths: Iterable[str]) -> str:
        """The innermost tagged module that encloses all of the given ones; the root if there are none.

        Examples
        --------
        >>> tree = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Blk"), ModuleRow("a.x", "Linear"),
        ...                                ModuleRow("a.y", "Linear"), ModuleRow("b", "Blk")])
        >>> tree.enclosing(["a.x", "a.y"]), tree.enclosing(["a.x", "b"])
        ('a', '')
        """
        result: str | None = None
        for path in paths:
            result = self.chain(path)[-1] if result is None else self._pair(result, path)
            if not result:
                return ""
        return result or ""

    def _pair(self, first: str, second: str) -> str:
        if first == second:
            return first
        key = (first, second)
        found = self._enclosing.get(key)
        if found is None:
            found = ""
            for one, other in zip(self.chain(first), self.chain(second), strict=False):
                if one != other:
                    break
                found = one
            self._enclosing[key] = found
        return found

    def encloses(self, outer: str, inner: str) -> bool:
        """Whether `inner` is `outer` or lies in it."""
        return outer in self.chain(inner)

    def tag(self, path: str, source: Source, origins: Iterable[str] = (), call: tuple[str, ...] = ()) -> Tag:
        """Make the tag of a module, with the source `root` where an inferred tag is the root's.

        Raises
        ------
        MapError
            If the map has no such module, or the module has no tag.
        """
        module = self.by_path.get(path)
        if module is None or module.tag is None:
            raise MapError(f"the map has no module {path!r} that a node could be tagged with")
        distinct = tuple(sorted(set(origins))) if origins else ()
        if source is Source.INHERITED and not path:
            source = Source.ROOT
        return Tag(path, module.tag, source, distinct if len(distinct) > 1 else (), call)

    def merged(self, tags: Sequence[Tag], merge: Merge = "enclosing", best: Source = Source.EXPORTED) -> Tag:
        """Make the tag of a node that does the work of several operations.

        Parameters
        ----------
        tags : sequence of Tag
            One for each operation; the one whose output survives comes last.
        merge : "enclosing" or "output"
            Whose tag the node gets: that of the innermost module that encloses all, or that of the last operation.
        best : Source
            The best that the source may be; it is the worst of the operations' otherwise.
        """
        if len(tags) == 1 and not tags[0].origins and len(tags[0].call) < 2 and tags[0].source is not Source.INHERITED:
            return tags[0].worse(best)
        origins = {path for tag in tags for path in tag.modules}
        module = tags[-1].module if merge == "output" else self.enclosing(origins)
        calls = tuple(sorted({call for tag in tags for call in tag.call}))
        return self.tag(module, max(best, *(tag.source for tag in tags)), origins, calls)

    @classmethod
    def from_rows(cls, rows: Sequence[ModuleRow], created_by: str = "") -> HierarchyMap:
        """Build a map of a bare module tree."""
        tags = class_paths(rows)
        modules = []
        for row in sorted(rows, key=lambda row: bool(row.path)):
            parent = None
            if row.path:
                parent = parent_path(row.path)
                while parent not in tags:
                    parent = parent_path(parent)
            modules.append(Module(row.path, row.class_name, tags[row.path], parent))
        return cls(tuple(modules), created_by=created_by)
