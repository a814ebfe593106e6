"""Reading tags in Python: the modules of a file, its nodes as rows, and measures by module.

Every command that looks at a file reads it here; nothing is written and nothing is printed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import onnx

from onnx_tagger.errors import MissingExtraError, TaggerError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.sources import ByteSource, is_source
from onnx_tagger.hierarchy.globs import under as modules_under
from onnx_tagger.hierarchy.map import HierarchyMap, Module as Record
from onnx_tagger.hierarchy.tree import Module, ModuleTree, shown_path
from onnx_tagger.measures.measure import Measure, Measured, measures_of
from onnx_tagger.measures.table import Fused, ModuleTable
from onnx_tagger.model.arguments import described
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import Op, operator
from onnx_tagger.model.metadata import SOURCES, Tag, text_of
from onnx_tagger.model.report import shown_share
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import counted
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.analyses.run_order import RunOrder
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.checking import MapSource, load_map, read_tags
from onnx_tagger.workflows.querying import evidence_of, id_of

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

ModelSource = str | os.PathLike[str] | bytes | bytearray | memoryview | onnx.ModelProto | BinaryIO | ByteSource


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a file and what is known of it.

    Attributes
    ----------
    id : str
        Unique in the file, such as ``main#4`` or ``main/If_3.then_branch#0``.
    name : str
        As it stands in the file; may be empty or not unique.
    op, domain : str
        Operator type, and its domain, ``""`` for ONNX itself.
    module, tag, source : str or None
        Module path (``""`` for the root), class path, and how the tag was found; None for a node without a tag.
    call : tuple of str
        Which call of the module it was, where a module on the path is called more than once.
    origins : tuple of str
        The modules whose work it does, if they are two or more.
    inputs, outputs : tuple of str
        Names of the tensors that it reads and makes; ``""`` for an optional one that is left out.
    scope : str
        The graph, body or function that holds it.
    evidence : str or None
        What the tag rests on, where the node says it.
    """

    id: str
    name: str
    op: str
    domain: str
    module: str | None
    tag: str | None
    call: tuple[str, ...]
    source: str | None
    origins: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scope: str
    evidence: str | None = None

    @property
    def shown(self) -> str:
        """The module for people: its path, its class path where there is no path, ``(root)``, or ``(none)``."""
        return "(none)" if self.module is None else shown_path(self.module, self.tag)

    def __repr__(self) -> str:
        where = "no tag" if self.module is None else f"module={self.module[:80]!r}"
        return f"Node({self.id[:60]!r}, name={self.name[:60]!r}, op={self.op[:40]!r}, {where})"


COLUMNS = tuple(field.name for field in fields(Node))


def read(source: ModelSource, map: MapSource | None = None) -> Tagged:  # noqa: A002 - the option's name everywhere
    """Read the tags of a model, by whatever convention it carries.

    Parameters
    ----------
    source : path, URL, bytes, ModelProto, binary stream or ByteSource
        Of a file everything but the weights is read, of one elsewhere by ranges.
    map : HierarchyMap, path or URL, optional
        A ``.hierarchy.json`` or a tagged ``.onnx``, which knows classes, the order of calls, and modules without nodes.

    Raises
    ------
    TaggerError
        If the model or the map cannot be read.

    Examples
    --------
    >>> from onnx import helper
    >>> from onnx_tagger.model.metadata import Source, Tag, write_node
    >>> node = helper.make_node("Relu", ["x"], ["y"], "act")
    >>> _ = write_node(node, Tag("blocks.0", "/Net/Block.0", Source.EXPORTED), ())
    >>> tagged = read(helper.make_model(helper.make_graph([node], "g", [], [])))
    >>> [module.path for module in tagged.modules]
    ['', 'blocks', 'blocks.0']
    >>> tagged.nodes(under="<Block>")
    [Node('main#0', name='act', op='Relu', module='blocks.0')]
    >>> tagged.table()["blocks"].total["nodes"]
    1.0
    """
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, onnx.ModelProto)
    if not isinstance(source, kinds) and not hasattr(source, "seek") and not is_source(source):
        given = described(source)
        raise TaggerError(f"the model is {given}; give a path, bytes, a ModelProto or a binary stream that can seek")
    with collector_paused():
        if isinstance(source, onnx.ModelProto):
            model, name = source, "the given model"
        else:
            skeleton = read_skeleton(source)
            model = skeleton.model
            name = skeleton.name
        return Tagged(read_tags(model, load_map(map) if map is not None else None), name)


class Tagged:
    """A model with its tags.

    Attributes
    ----------
    name : str
        What the model is called in messages.
    context : Context
        The tags as passes see them.
    """

    def __init__(self, context: Context, name: str = "the given model") -> None:
        self.context, self.name = context, name

    @cached_property
    def modules(self) -> ModuleTree:
        """The module tree, iterable in the order in which modules were first called.

        Without a captured map it holds the modules that the nodes name and those around them, in the order in which the
        data flow runs through them.
        """
        tree = self.context.hierarchy
        if tree is None:
            tree = HierarchyMap((Record("", "", None),))
        captured = any(module.order is not None for module in tree.modules)
        return ModuleTree(tree, None if captured else self._first())

    def _first(self) -> dict[str, int]:
        """Module path to the rank of the first node that does work of it."""
        ranks = self.context.get(RunOrder)
        first: dict[str, int] = {}
        for op, tag in self.context.tags.items():
            rank = ranks[op.id]
            for path in tag.modules:
                if first.get(path, rank) >= rank:
                    first[path] = rank
        return first

    def __getitem__(self, path: str) -> Module:
        """The module of a path, an alias or a tag.

        Raises
        ------
        KeyError
            If there is none; the message names the nearest ones.
        """
        return self.modules[path]

    def nodes(
        self,
        under: str | Iterable[str] | None = None,
        op: str | Collection[str] | None = None,
        source: str | Collection[str] | None = None,
        *,
        origin: bool = True,
        untagged: bool = False,
    ) -> list[Node]:
        """The nodes that fit, in the order of the file, those of bodies behind their owner.

        Parameters
        ----------
        under : str or sequence of str, optional
            Only nodes that do work of modules that these patterns name, or of modules in them; see
            `onnx_tagger.hierarchy.globs`.
        op : str or collection of str, optional
            Only these operator types, with or without their domain (``com.microsoft::FusedMatMul``).
        source : str or collection of str, optional
            Only nodes whose tags were found so: ``exported``, ``matched``, ``aligned``, ``inherited``, ``root``.
        origin : bool
            Find a node that does the work of several modules under each of them; False for its own tag alone.
        untagged : bool
            Only nodes without a tag.

        Raises
        ------
        TaggerError
            If a pattern names no module, or an operator or a source is not known.
        """
        return [self.row(found) for found in self.ops(under, op, source, origin=origin, untagged=untagged)]

    def ops(
        self,
        under: str | Iterable[str] | None = None,
        op: str | Collection[str] | None = None,
        source: str | Collection[str] | None = None,
        *,
        origin: bool = True,
        untagged: bool = False,
    ) -> list[Op]:
        """As `nodes`, as ops of the walk, whose `node` is the protobuf message itself."""
        tags = self.context.tags
        keep: list[Callable[[Op, Tag | None], bool]] = []
        if untagged:
            keep.append(lambda _, tag: tag is None)
        if under is not None:
            members = modules_under(self.modules, under)
            if origin:
                keep.append(lambda _, tag: tag is not None and not members.isdisjoint(tag.modules))
            else:
                keep.append(lambda _, tag: tag is not None and tag.module in members)
        if op is not None:
            operators = self._operators(op)
            keep.append(lambda op, _: op.node.op_type in operators or operator(op.node) in operators)
        if source is not None:
            sources = _sources(source)
            keep.append(lambda _, tag: tag is not None and tag.source.label in sources)
        return [found for found in self.context.ops if all(test(found, tags.get(found)) for test in keep)]

    def _operators(self, op: str | Collection[str]) -> frozenset[str]:
        """The operator types to keep; one that neither the file has nor ONNX knows is a mistake."""
        wanted = frozenset([op] if isinstance(op, str) else op)
        present = {text for found in self.context.ops for text in (found.node.op_type, operator(found.node))}
        for name in sorted(wanted - present):
            if "::" not in name and not onnx.defs.has(name):
                known = present | {schema.name for schema in onnx.defs.get_all_schemas()}
                raise TaggerError(
                    f"no node has the operator {name!r}: {advice_on(name, known, 'see onnx-tagger nodes')}"
                )
        return wanted

    def row(self, op: Op) -> Node:
        """What is known of one op of the walk."""
        node, tag = op.node, self.context.tags.get(op)
        return Node(
            id_of(op),
            text_of(node.name),
            node.op_type,
            node.domain,
            tag.module if tag is not None else None,
            tag.tag if tag is not None else None,
            tag.call if tag is not None else (),
            tag.source.label if tag is not None else None,
            tag.origins if tag is not None else (),
            tuple(map(text_of, node.input)),
            tuple(map(text_of, node.output)),
            op.scope.name,
            evidence_of(op),
        )

    def table(
        self, measures: Iterable[str | Measure] = ("nodes", "fused"), *, fused: Fused = "enclosing"
    ) -> ModuleTable:
        """Measures by module.

        Parameters
        ----------
        measures : sequence of str or Measure
            Names of `onnx_tagger.measures.MEASURES`, or measures of your own with a number, or None, for each node of
            `measured`.
        fused : "enclosing" or "shared"
            Whether the number of a node that does the work of several modules stands at the module that encloses them,
            or in equal parts at each of them.

        Raises
        ------
        TaggerError
            If a measure is not known or does not fit the nodes.
        """
        measured = self.measured
        made: list[Measure] = []
        for given in measures:
            made += measures_of([given], measured) if isinstance(given, str) else [given]
        with collector_paused():
            return ModuleTable.of(self.modules, measured.tags, made, fused=fused)

    @cached_property
    def measured(self) -> Measured:
        """The nodes that count, with their tags: all but those of functions that are never called."""
        ops = self.context.walk.counted
        return Measured(self.context.walk, ops, [self.context.tags.get(op) for op in ops])

    @property
    def graph(self) -> nx.DiGraph[int]:
        """The data flow as a networkx graph, whose nodes carry the fields of `Node` as attributes.

        An edge runs from the node that makes a tensor to one that reads it, and names it in ``tensor``.
        """
        graph = self.context.get(DataFlow).graph.copy()
        for op in self.context.ops:
            row = self.row(op)
            graph.nodes[op.id].update({name: getattr(row, name) for name in COLUMNS})
        return graph

    def to_pandas(self) -> pd.DataFrame:
        """All nodes as a DataFrame, a column for each field of `Node`.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("a DataFrame needs pandas, which is not installed: pip install pandas") from None
        return pd.DataFrame([[getattr(row, name) for name in COLUMNS] for row in self.nodes()], columns=list(COLUMNS))

    def __repr__(self) -> str:
        nodes, tagged = len(self.measured.ops), sum(tag is not None for tag in self.measured.tags)
        return f"Tagged({self.name[-120:]!r}, {shown_share(tagged, nodes)} of {nodes} nodes tagged)"

    def _repr_html_(self) -> str:
        from onnx_tagger.measures.notebook import notebook_cell

        nodes, tagged = len(self.measured.ops), sum(tag is not None for tag in self.measured.tags)
        heading = f"{self.name}: {shown_share(tagged, nodes)} of {counted(nodes, 'node')} tagged"
        return notebook_cell(self.table(("nodes", "fused", "sources")), heading)


def _sources(source: str | Collection[str]) -> frozenset[str]:
    wanted = frozenset([source] if isinstance(source, str) else source)
    unknown = sorted(wanted - SOURCES.keys())
    if unknown:
        choice = f"choose from {', '.join(SOURCES)}"
        raise TaggerError(f"no tag has the source {unknown[0]!r}: {advice_on(unknown[0], SOURCES, choice)}")
    return wanted
