"""What fusions share: looking for matches, writing them, and the tag of a node that does the work of several.

A match never overlaps another one, and nobody else reads what its nodes make but for the last one's output. A weight is
read only by those fusions that compute a new one of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.graph import Op, bodies, operator
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.report import FusedNode
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.analyses.types import ValueTypes
from onnx_tagger.passes.base import Context, Pass, Touches, Values
from onnx_tagger.passes.fusions.parts import Parts

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Match:
    """Nodes that are written as one.

    Attributes
    ----------
    ops : tuple of Op
        The nodes; the first one is the last to be computed, whose output stays.
    node : onnx.NodeProto
        What takes their place.
    weights : tuple of onnx.TensorProto
        What it reads that was not stored before.
    """

    ops: tuple[Op, ...]
    node: onnx.NodeProto
    weights: tuple[onnx.TensorProto, ...] = ()

    __repr__ = brief_fields


@dataclass(frozen=True)
class Fusion(Pass):
    """A pass that writes several nodes as one; a subclass finds the match that ends with a given node."""

    name = "fusion"
    requires = (DataFlow, ValueTypes)
    touches = Touches.TOPOLOGY | Touches.TAGS | Touches.METADATA

    @abstractmethod
    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match whose last node is `op`, or None."""

    def run(self, ctx: Context) -> int:
        """Return how many nodes were written in place of others."""
        count = 0
        while matches := self._matches(ctx):
            _Rewriting(ctx, matches, self.name).write()
            count += len(matches)
        return count

    def _matches(self, ctx: Context) -> list[Match]:
        parts = Parts(ctx)
        taken: set[int] = set()
        found = []
        # Backwards, so that what ends later, and may hold more, comes first.
        for op in reversed(ctx.ops):
            if op.id in taken or not isinstance(op.scope.proto, onnx.GraphProto) or op.scope.family != "main":
                continue
            match = self.find(parts, op)
            ids = {each.id for each in match.ops} if match is not None else set()
            if match is not None and not ids & taken and parts.hidden(match.ops, op):
                taken |= ids
                found.append(match)
        return found


def fused_node(
    root: Op,
    kind: str,
    inputs: Sequence[str],
    domain: str = "",
    *,
    more: Mapping[str, object] | None = None,
    **own: Any,
) -> onnx.NodeProto:
    """A node that makes what `root` made, named after it."""
    name = f"{root.node.name}/{kind}Fusion" if root.node.name else ""
    made = helper.make_node(kind, inputs, [root.node.output[0]], name, domain=domain or None)
    made.attribute.extend(helper.make_attribute(key, value) for key, value in {**(more or {}), **own}.items())
    return made


def weight_of(root: Op, word: str, values: Values) -> onnx.TensorProto:
    """A tensor to store for the node that takes the place of `root`."""
    return numpy_helper.from_array(np.ascontiguousarray(values), f"{root.node.output[0]}/{word}")


def tag_of_parts(tree: HierarchyMap, tags: Sequence[Tag]) -> Tag:
    """The tag of a node that does the work of several: the module around all, and each of them as an origin.

    It is certain whose work the node does, and yet no exporter has said it: the source is at best `aligned`.
    """
    modules = sorted({path for tag in tags for path in tag.modules})
    source = max(Source.ALIGNED, *(tag.source for tag in tags))
    alike = all(tag == tags[0] for tag in tags)
    call = tags[0].call if alike else ()
    return tree.tag(tree.enclosing(modules), source, modules if len(modules) > 1 else (), call)


class _Rewriting:
    """Writes the matches of one round."""

    def __init__(self, ctx: Context, matches: Sequence[Match], name: str) -> None:
        self.ctx, self.name = ctx, name
        self.by_root = {match.ops[0].id: match for match in matches}
        self.gone = {op.id for match in matches for op in match.ops}
        self.names = {name for scope in ctx.walk.scopes for name in (*scope.initializer_names, *scope.input_names)}
        self.names.update(name for op in ctx.ops for name in op.node.output)

    def write(self) -> None:
        """Change the graphs and put tags on what is new."""
        ctx = self.ctx
        self._drop_unread_constants()
        after = list(self._tags_after())
        for scope in ctx.walk.scopes:
            if isinstance(scope.proto, onnx.GraphProto) and any(op.id in self.gone for op in scope.ops):
                self._rewrite(scope.proto, scope.ops)
        domains = {match.node.domain for match in self.by_root.values() if match.node.domain}
        for domain in sorted(domains - {each.domain for each in ctx.model.opset_import}):
            ctx.model.opset_import.append(helper.make_opsetid(domain, 1))
        ctx.drop(Touches.TOPOLOGY)
        ctx.tags.clear()
        ctx.evidence.clear()
        for op, (tag, evidence) in zip(ctx.ops, after, strict=True):
            if tag is not None:
                ctx.tags[op] = tag
            if evidence is not None:
                ctx.evidence[op] = evidence

    def _drop_unread_constants(self) -> None:
        """Let go of nodes of type Constant that only the parts of matches read."""
        flow = self.ctx.get(DataFlow)
        left = {key for op in self.ctx.ops if op.id not in self.gone for key in flow.inputs[op.id]}
        left |= {(flow.place[match.ops[0].id], name) for match in self.by_root.values() for name in match.node.input}
        left |= {(place, name) for place, scope in enumerate(self.ctx.walk.scopes) for name in scope.output_names}
        read = {key for index in self.gone for key in flow.inputs[index]}
        for key in read - left:
            maker = flow.producer.get(key)
            if maker is not None and self.ctx.ops[maker].node.op_type == "Constant":
                self.gone.add(maker)

    def _tags_after(self) -> Iterator[tuple[Tag | None, Evidence | None]]:
        """Tag and evidence of each node there will be, in the order of the walk."""
        ctx = self.ctx
        for op in ctx.ops:
            match = self.by_root.get(op.id)
            if match is not None:
                tags = [ctx.tags[part] for part in match.ops if part in ctx.tags]
                tag = tag_of_parts(ctx.hierarchy, tags) if ctx.hierarchy is not None and tags else None
                self._note(match, tag)
                weakest = max((ctx.rests_on(part) for part in match.ops if part in ctx.tags), default=None)
                yield tag, weakest
            elif op.id not in self.gone:
                yield ctx.tags.get(op), ctx.evidence.get(op)

    def _note(self, match: Match, tag: Tag | None) -> None:
        self.ctx.report.fused.append(
            FusedNode(
                self.name,
                match.node.output[0],
                operator(match.node),
                tuple(operator(op.node) for op in reversed(match.ops)),
                None if tag is None else tag.module,
                () if tag is None else tag.modules,
            )
        )

    def _named_apart(self, match: Match) -> Iterator[onnx.TensorProto]:
        """The new weights of a match, under names that nothing else has."""
        for tensor in match.weights:
            name = tensor.name
            while name in self.names:
                name += "_"
            for place, read in enumerate(match.node.input):
                if read == tensor.name:
                    match.node.input[place] = name
            tensor.name = name
            self.names.add(name)
            yield tensor

    def _rewrite(self, graph: onnx.GraphProto, ops: Sequence[Op]) -> None:
        nodes: list[onnx.NodeProto] = []
        dead: set[str] = set()
        for op in ops:
            match = self.by_root.get(op.id)
            if match is not None:
                nodes.append(match.node)
                graph.initializer.extend(self._named_apart(match))
            elif op.id not in self.gone:
                nodes.append(op.node)
            if op.id in self.gone and match is None:
                dead.update(op.node.output)
        read = {name for op in ops if op.id in self.gone for name in op.node.input}
        del graph.node[:]
        graph.node.extend(nodes)
        _keep(graph.value_info, [value.name not in dead for value in graph.value_info])
        unread = read - _names_read(graph) - {value.name for value in (*graph.input, *graph.output)}
        _keep(graph.initializer, [tensor.name not in unread for tensor in graph.initializer])


def _keep(values: Any, kept: Sequence[bool]) -> None:
    """Remove entries of a repeated field from behind, without copying those that stay."""
    for place in reversed(range(len(kept))):
        if not kept[place]:
            del values[place]


def _names_read(graph: onnx.GraphProto) -> set[str]:
    """All names that nodes of a graph and of bodies in it read, and what bodies give back."""
    found: set[str] = set()
    waiting = [graph]
    while waiting:
        inner = waiting.pop()
        for node in inner.node:
            found.update(node.input)
            waiting += [body for _, body in bodies(node)]
        if inner is not graph:
            found.update(value.name for value in inner.output)
    return found
