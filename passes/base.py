"""What a pass and an analysis are, and the context that they work on.

The manager that runs them lives in `manager`; the passes themselves each have a file of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import ClassVar, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

from onnx_tagger.errors import PassError
from onnx_tagger.files.tensors import without_ones
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model import graph
from onnx_tagger.model.arguments import described, insist_on
from onnx_tagger.model.evidence import BY_SOURCE, Evidence
from onnx_tagger.model.graph import Op, Scope, Walk
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.report import Report
from onnx_tagger.model.texts import brief, brief_fields, counted, html_table, value_text

Values = npt.NDArray[np.generic]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Touches(Flag):
    """What a pass may change, or an analysis reads."""

    NOTHING = 0
    TAGS = auto()
    METADATA = auto()
    TOPOLOGY = auto()


class Analysis(ABC, Generic[T_co]):
    """Something computed of a model once and dropped when a pass touches what it reads; it never writes.

    Class attributes
    ----------------
    requires : tuple of Analysis classes
        Other analyses that `compute` asks for.
    reads : Touches
        What it depends on.
    """

    requires: ClassVar[tuple[type[Analysis[object]], ...]] = ()
    reads: ClassVar[Touches] = Touches.TOPOLOGY

    @abstractmethod
    def compute(self, ctx: Context) -> T_co:
        """Compute the result from the context, without changing anything."""


@dataclass(frozen=True)
class Pass(ABC):
    """One step over a model; the fields of a subclass are its options.

    Class attributes
    ----------------
    name : str
        Its name in reports, errors and on the command line; every concrete subclass must set one.
    requires : tuple of Analysis classes
        The analyses that `run` asks the context for.
    touches : Touches
        What `run` may change; the manager verifies it.
    again_after : Touches
        The manager runs the pass once more at the end of the chain if a later pass changed any of these.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class CountOps(Pass):
    ...     name = "count-ops"
    ...     op: str = "MatMul"
    ...     def run(self, ctx):
    ...         print(sum(op.node.op_type == self.op for op in ctx.ops), self.op)
    ...         return 0
    >>> CountOps(op="Add").op
    'Add'
    """

    name: ClassVar[str] = ""
    requires: ClassVar[tuple[type[Analysis[object]], ...]] = ()
    touches: ClassVar[Touches] = Touches.NOTHING
    again_after: ClassVar[Touches] = Touches.NOTHING

    def __init_subclass__(cls, **options: object) -> None:
        """Insist on a name."""
        super().__init_subclass__(**options)
        if not isinstance(cls.name, str) or not cls.name or "name" not in cls.__dict__:
            raise PassError(f'the pass class {cls.__qualname__} has no name: add name = "..." to its body')
        # Set before `dataclass` looks for one: its own writes out all that an option holds.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = brief_fields  # type: ignore[method-assign]

    @abstractmethod
    def run(self, ctx: Context) -> int:
        """Do the work and return how many nodes it changed."""


@dataclass
class Context:
    """What passes work on.

    Attributes
    ----------
    model : onnx.ModelProto
        The model; payloads of large tensors may be missing.
    hierarchy : HierarchyMap or None
        The map that modules are looked up in.
    tags : dict
        Op to Tag, the table that passes fill.
    report : Report
        What is told at the end.
    evidence : dict
        Op to what its tag rests on, where the tag's source does not say it; see `rests_on`.
    values : callable or None
        Reads the values of a stored tensor of the main graph by name, where the model does not hold them; None if
        they must not be read.
    blocks : callable or None
        Reads the same some rows at a time, as `files.tensors.read_blocks` does; where it is None, they are read whole.
    """

    model: onnx.ModelProto
    hierarchy: HierarchyMap | None = None
    tags: dict[Op, Tag] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    values: Callable[[str], Values | None] | None = None
    blocks: Callable[[str], Iterator[Values]] | None = None
    evidence: dict[Op, Evidence] = field(default_factory=dict)
    _walk: Walk | None = None
    _analyses: dict[type[Analysis[object]], object] = field(default_factory=dict)
    _declared: list[tuple[str, Sequence[type[Analysis[object]]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        insist_on(self.model, onnx.ModelProto, "the model", "an onnx.ModelProto, as onnx.load returns it")
        insist_on(
            self.hierarchy, (HierarchyMap, type(None)), "the map", "a HierarchyMap, as HierarchyMap.load returns it"
        )

    def __repr__(self) -> str:
        nodes = self.counted_nodes or len(self.model.graph.node)
        return brief(self, counted(nodes, "node"), counted(len(self.tags), "tag"), value_text(self.hierarchy))

    def _repr_html_(self) -> str:
        """What the context holds, for a notebook."""
        rows = {"nodes": self.counted_nodes or len(self.model.graph.node), "tags": len(self.tags)}
        return html_table("Context", [*rows.items(), ("map", value_text(self.hierarchy))])

    @property
    def walk(self) -> Walk:
        """All scopes and nodes of the model."""
        if self._walk is None:
            self._walk = graph.walk(self.model)
        return self._walk

    @property
    def ops(self) -> list[Op]:
        """All nodes of the model, those of bodies and functions too."""
        return self.walk.ops

    @property
    def notes(self) -> list[str]:
        """Sentences that a pass has to say; they stand in the report, and commands print them."""
        return self.report.notes

    @property
    def counted_nodes(self) -> int:
        """How many nodes the model has as far as they have been listed: 0 before that."""
        return len(self._walk.ops) if self._walk is not None else 0

    def lists_all(self) -> bool:
        """Whether the nodes that were listed are those that the model has now, as far as their number and ends tell.

        To compare each of a million nodes after every pass would take longer than many a pass; the manager does that
        with `verify`.
        """
        if self._walk is None:
            return True
        scopes = self._walk.scopes
        return scopes[0].proto is self.model.graph and all(_is_listed(scope) for scope in scopes)

    def get(self, analysis: type[Analysis[T]]) -> T:
        """The result of an analysis, computed now if it has not been yet.

        Raises
        ------
        PassError
            If the running pass has not declared it.
        """
        key = cast("type[Analysis[object]]", analysis)
        if not (isinstance(analysis, type) and issubclass(analysis, Analysis)):
            raise PassError(f"an analysis was asked for by {described(analysis)}: give its class, such as DataFlow")
        if self._declared:
            name, allowed = self._declared[-1]
            if key not in allowed:
                raise PassError(
                    f"{name!r} asks for {analysis.__name__} without declaring it: add requires = ({analysis.__name__},)"
                )
        if key not in self._analyses:
            if any(name == analysis.__name__ for name, _ in self._declared):
                raise PassError(f"the analysis {analysis.__name__} requires itself in a circle")
            self._declared.append((analysis.__name__, key.requires))
            try:
                self._analyses[key] = analysis().compute(self)
            finally:
                self._declared.pop()
        return cast(T, self._analyses[key])

    def rests_on(self, op: Op) -> Evidence:
        """What the tag of an op rests on: what a pass has noted, or what its source says; nothing without a tag."""
        found = self.evidence.get(op)
        if found is None:
            tag = self.tags.get(op)
            found = BY_SOURCE[tag.source] if tag is not None else Evidence.NONE
        return found

    def read_values(self, tensor: onnx.TensorProto) -> Values | None:
        """The values of a stored tensor of the main graph, or None if they are not at hand."""
        held = _held_values(tensor)
        if held is not None or self.values is not None or self.blocks is None:
            return self.values(tensor.name) if held is None and self.values is not None else held
        return np.concatenate(list(self.blocks(tensor.name))).reshape(tuple(tensor.dims))

    @property
    def reads_values(self) -> bool:
        """Whether values that the model does not hold may be read."""
        return self.values is not None or self.blocks is not None

    def read_blocks(self, tensor: onnx.TensorProto) -> Iterator[Values]:
        """The same some rows at a time, nothing if they are not at hand; memory does not grow with the tensor.

        Raises
        ------
        TaggerError
            If they cannot be read and `blocks` says so.
        """
        held = _held_values(tensor)
        if held is None and self.blocks is not None:
            yield from self.blocks(tensor.name)
            return
        values = held if held is not None or self.values is None else self.values(tensor.name)
        if values is not None:
            yield values.reshape(without_ones(values.shape))

    def drop(self, touched: Touches) -> None:
        """Forget the analyses that read what was touched, and those that build on them."""
        stale = {key for key in self._analyses if key.reads & touched}
        while True:
            more = {key for key in self._analyses if key not in stale and stale & set(key.requires)}
            if not more:
                break
            stale |= more
        for key in stale:
            del self._analyses[key]
        if touched & Touches.TOPOLOGY:
            self._rewalk()

    def _rewalk(self) -> None:
        """List the nodes anew and keep the tags of those that are still there."""
        if self._walk is None:
            return
        old = self._walk.ops
        self._walk = graph.walk(self.model)
        same = {id(op.node): op for op in old}
        alike: dict[tuple[str, ...], Op | None] = {}
        for op in old:
            key = _signature(op)
            alike[key] = None if key in alike else op
        tags: dict[Op, Tag] = {}
        evidence: dict[Op, Evidence] = {}
        for op in self._walk.ops:
            before = same.get(id(op.node)) or alike.get(_signature(op))
            if before is not None and before in self.tags:
                tags[op] = self.tags[before]
            if before is not None and before in self.evidence:
                evidence[op] = self.evidence[before]
        self.tags.clear()
        self.tags.update(tags)
        self.evidence.clear()
        self.evidence.update(evidence)


def _is_listed(scope: Scope) -> bool:
    nodes, ops = scope.proto.node, scope.ops
    return len(nodes) == len(ops) and (not ops or (nodes[0] is ops[0].node and nodes[-1] is ops[-1].node))


def _held_values(tensor: onnx.TensorProto) -> Values | None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    try:
        values: Values = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError):
        # Left out on reading, or of a type that numpy lacks.
        return None
    return values


def _signature(op: Op) -> tuple[str, ...]:
    """What a node is known by after a pass has copied it."""
    return (op.scope.family, op.node.op_type, op.node.name, *op.node.output)
