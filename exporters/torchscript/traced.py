"""What the TorchScript exporter traced and what became of it: marks in scopes, calls that were folded into others."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

# Number of the module in the order of `named_modules`, number of its call.
Mark = tuple[int, int]

_MARK = re.compile(r"\|(\d+)@(\d+)\|")


def with_mark(scope: str, mark: Mark) -> str:
    """A scope ``Class::name`` with a mark in the part that node names are not made of.

    Examples
    --------
    >>> with_mark("Linear::query", (7, 0))
    'Linear|7@0|::query'
    """
    left, colons, right = scope.partition("::")
    return f"{left}|{mark[0]}@{mark[1]}|{colons}{right}"


def mark_of(scope: str) -> Mark | None:
    """The innermost mark of a scope.

    Examples
    --------
    >>> mark_of("Net|0@0|::/Linear|7@1|::query"), mark_of("Net::")
    ((7, 1), None)
    """
    marks = _MARK.findall(scope)
    return (int(marks[-1][0]), int(marks[-1][1])) if marks else None


# Stands around a call while what it calls is put in its place; the kind is one that no clean-up takes for dead.
_FENCE, _CALLER = "prim::Print", "onnx_tagger_caller"


def calls_marked(substitute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap torch's replacement of calls of scripted functions by their code, which drops the scope of the call.

    The code gets the call's mark, in a scope of which torch makes no node names: it makes none for the code either.
    """

    def marking(graph: Any) -> Any:
        callers: set[str] = set()
        for call in [node for node in graph.nodes() if node.kind() == "prim::CallFunction"]:
            mark = mark_of(call.scopeName())
            if mark is None:
                continue
            text = f"|{mark[0]}@{mark[1]}|"
            callers.add(text)
            graph.create(_FENCE, 0).s_(_CALLER, text).insertBefore(call)
            graph.create(_FENCE, 0).s_(_CALLER, "").insertAfter(call)
        result = substitute(graph)
        if callers:
            _mark_fenced(graph, callers)
        return result

    return marking


def _mark_fenced(graph: Any, callers: Iterable[str]) -> None:
    """Take the fences away and give what stands between two of them the scope that they name."""
    source = _scoped(callers)
    donors = {node.scopeName(): node for node in source.nodes() if node.scopeName()}
    donor = None
    for node in list(graph.nodes()):
        if node.kind() == _FENCE and node.hasAttribute(_CALLER):
            donor = donors.get(node.s(_CALLER))
            node.destroy()
        elif donor is not None:
            _hand_on(donor, node)


def _scoped(scopes: Iterable[str]) -> Any:
    """A graph with a node in each scope: a scope can be made in a trace alone, and be copied from node to node."""

    def in_each(tensor: torch.Tensor) -> torch.Tensor:
        state: Any = torch._C._get_tracing_state()
        for scope in scopes:
            state.push_scope(scope)
            tensor = torch.sin(tensor)
            state.pop_scope()
        return tensor

    return torch.jit._trace._get_trace_graph(in_each, (torch.zeros(1),))[0]  # type: ignore[no-untyped-call]


def _hand_on(donor: Any, node: Any) -> None:
    """Give a node and those of its blocks another node's scope."""
    if not node.scopeName():
        node.copyMetadata(donor)
    for block in node.blocks():
        for inner in block.nodes():
            _hand_on(donor, inner)


# A tensor of no more elements is compared by its values: numbers of Python's are traced as such.
_FEW = 16


@dataclass(frozen=True, slots=True)
class TracedNode:
    """A node of the ONNX graph: its outputs' names in the file, its mark, and whether it reads a stored tensor."""

    outputs: tuple[str, ...]
    mark: Mark | None
    stored: bool


@dataclass(frozen=True, slots=True)
class TracedOperation:
    """An operation as it was traced: its mark, what it does, and the names of what it reads and makes."""

    mark: Mark | None
    does: Hashable
    inputs: list[str]
    outputs: list[str]


@dataclass
class Traced:
    """One export's graph, as it was traced and as it was written.

    Attributes
    ----------
    nodes : list of TracedNode
        The nodes of the ONNX graph that have outputs, with those of its blocks.
    operations : list of TracedOperation
        What was traced, in order.
    parameters : set of str
        Names of the traced graph's parameters.
    data : set of str
        Names of its other inputs.
    """

    nodes: list[TracedNode] = field(default_factory=list)
    operations: list[TracedOperation] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)

    def read_operations(self, graph: Any, parameters: int) -> None:
        """Read the graph as it was traced, whose last inputs are the parameters; the exporter changes it afterwards."""
        names = [value.debugName() for value in graph.inputs()]
        self.data.update(names[: len(names) - parameters])
        self.parameters.update(names[len(names) - parameters :])
        for node in graph.nodes():
            inputs, outputs = ([v.debugName() for v in values] for values in (node.inputs(), node.outputs()))
            self.operations.append(TracedOperation(mark_of(node.scopeName()), _does(node), inputs, outputs))

    def read_nodes(self, graph: Any) -> None:
        """Read the graph as it was written."""
        inputs = {value.debugName() for value in graph.inputs()}
        stack = [iter(list(graph.nodes()))]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                continue
            outputs = tuple(value.debugName() for value in node.outputs())
            if outputs:
                stored = any(value.debugName() in inputs for value in node.inputs())
                self.nodes.append(TracedNode(outputs, mark_of(node.scopeName()), stored))
            stack.extend(iter(list(block.nodes())) for block in reversed(list(node.blocks())))

    def absorbers(self) -> dict[tuple[str, ...], list[Mark]]:
        """Nodes that do the work of calls besides their own: outputs of the node to the marks of those calls.

        The exporter folds a normalisation into the convolution before it and keeps the convolution's scope alone. A
        call was folded if no node is left of it though it reads parameters and data; without parameters it may as well
        have been a no-op that was dropped. Of calls that do the same with the same the exporter keeps the first.
        """
        own: dict[Mark | None, list[TracedNode]] = {}
        for node in self.nodes:
            own.setdefault(node.mark, []).append(node)
        repeated = self._repeated(own)
        found: dict[tuple[str, ...], list[Mark]] = {}
        for before, marks in self._folded(own, repeated).items():
            weighted = [node for node in own[before] if node.stored]
            found.setdefault((weighted or own[before])[-1].outputs, []).extend(marks)
        for mark, first in repeated.items():
            for node in own.get(first, ()):
                found.setdefault(node.outputs, []).append(mark)
        return found

    def _repeated(self, left: Container[Mark | None]) -> dict[Mark, Mark | None]:
        """Calls of which no node is left since each operation of theirs was done before: to the call that did it."""
        repeats, new = self._repeats(())
        # A call that repeats another one in full and has nodes all the same was not merged, nor was what follows it.
        kept = {mark for mark in repeats if mark in left and mark not in new}
        if kept:
            repeats, new = self._repeats(kept)
        return {
            mark: first for mark, first in repeats.items() if mark is not None and mark not in left and mark not in new
        }

    def _repeats(self, kept: Container[Mark | None]) -> tuple[dict[Mark | None, Mark | None], set[Mark | None]]:
        """Calls with an operation that was done before, each to the call that did it, and those with one that was not.

        What the calls that were `kept` do is done anew.
        """
        same: dict[str, str] = {}
        made: dict[Hashable, TracedOperation] = {}
        found: dict[Mark | None, Mark | None] = {}
        new: set[Mark | None] = set()
        data = set(self.data)
        for operation in self.operations:
            reads = tuple(same.get(name, name) for name in operation.inputs)
            form = operation.does, reads, len(operation.outputs)
            first = operation if operation.mark in kept else made.setdefault(form, operation)
            if first is not operation:
                same.update(zip(operation.outputs, first.outputs, strict=True))
            if data.isdisjoint(operation.inputs):
                continue
            data.update(operation.outputs)
            if first is operation:
                new.add(operation.mark)
            elif first.mark != operation.mark:
                found[operation.mark] = first.mark
        return found, new

    def _folded(self, left: Container[Mark | None], repeated: Container[Mark | None]) -> dict[Mark | None, list[Mark]]:
        """Calls of which no node is left, by the call whose result they read."""
        parameters, data = set(self.parameters), set(self.data)
        maker: dict[str, Mark | None] = {}
        found: dict[Mark | None, list[Mark]] = {}
        for operation in self.operations:
            mark = operation.mark
            sources = [name for name in operation.inputs if name in data]
            reads = any(name in parameters for name in operation.inputs)
            if not sources:
                if reads:
                    parameters.update(operation.outputs)
                continue
            data.update(operation.outputs)
            before = maker.get(sources[0])
            doer = mark
            if mark not in left and mark not in repeated and before is not None:
                if reads and mark is not None and before in left and mark not in found.get(before, ()):
                    found.setdefault(before, []).append(mark)
                doer = before
            maker.update(dict.fromkeys(operation.outputs, doer))
        return found


def _does(node: Any) -> Hashable:
    """What a node does with what it reads: its kind and its attributes."""
    names = node.attributeNames()
    return node.kind(), tuple((name, _value(getattr(node, node.kindOf(name))(name))) for name in names)


def _value(value: object) -> Hashable:
    """An attribute's value; what cannot be compared, as a graph or a large tensor, is equal to none."""
    if isinstance(value, torch.Tensor) and value.numel() <= _FEW:
        return str(value.dtype), tuple(value.shape), repr(value.tolist())
    scalar = (int, float, str, bytes)
    if isinstance(value, scalar) or (isinstance(value, (list, tuple)) and all(isinstance(v, scalar) for v in value)):
        return repr(value)
    return object()
