"""What the TorchScript exporter traced and what became of it: marks in scopes, calls that were folded into others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True, slots=True)
class TracedNode:
    """A node of the ONNX graph: its name in the file, its mark, and whether it reads a stored tensor."""

    name: str
    mark: Mark | None
    stored: bool


@dataclass
class Traced:
    """One export's graph, as it was traced and as it was written.

    Attributes
    ----------
    nodes : list of TracedNode
        The nodes of the ONNX graph that have a scope, and so a name, with those of its blocks.
    operations : list of (Mark or None, list of str, list of str)
        Mark, input names and output names of each operation that was traced.
    parameters : set of str
        Names of the traced graph's parameters.
    data : set of str
        Names of its other inputs.
    """

    nodes: list[TracedNode] = field(default_factory=list)
    operations: list[tuple[Mark | None, list[str], list[str]]] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)

    def read_operations(self, graph: Any, parameters: int) -> None:
        """Read the graph as it was traced, whose last inputs are the parameters; the exporter changes it afterwards."""
        names = [value.debugName() for value in graph.inputs()]
        self.data.update(names[: len(names) - parameters])
        self.parameters.update(names[len(names) - parameters :])
        for node in graph.nodes():
            inputs = [value.debugName() for value in node.inputs()]
            self.operations.append((mark_of(node.scopeName()), inputs, [out.debugName() for out in node.outputs()]))

    def read_nodes(self, graph: Any) -> None:
        """Read the graph as it was written."""
        inputs = {value.debugName() for value in graph.inputs()}
        stack = [iter(list(graph.nodes()))]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                continue
            if node.hasAttribute("onnx_name"):
                stored = any(value.debugName() in inputs for value in node.inputs())
                self.nodes.append(TracedNode(node.s("onnx_name"), mark_of(node.scopeName()), stored))
            stack.extend(iter(list(block.nodes())) for block in reversed(list(node.blocks())))

    def absorbers(self) -> dict[str, list[Mark]]:
        """Nodes that do the work of calls besides their own: name of the node to the marks of those calls.

        The exporter folds a normalisation into the convolution before it and keeps the convolution's scope alone. A
        call was folded if no node is left of it though it reads parameters and data; without parameters it may as well
        have been a no-op that was dropped.
        """
        own: dict[Mark | None, list[TracedNode]] = {}
        for node in self.nodes:
            own.setdefault(node.mark, []).append(node)
        found: dict[str, list[Mark]] = {}
        for before, marks in self._folded().items():
            weighted = [node for node in own[before] if node.stored]
            found[(weighted or own[before])[-1].name] = marks
        return found

    def _folded(self) -> dict[Mark, list[Mark]]:
        """Calls of which no node is left, by the call whose result they read."""
        left = {node.mark for node in self.nodes}
        parameters, data = set(self.parameters), set(self.data)
        maker: dict[str, Mark | None] = {}
        found: dict[Mark, list[Mark]] = {}
        for mark, inputs, outputs in self.operations:
            sources = [name for name in inputs if name in data]
            reads = any(name in parameters for name in inputs)
            if not sources:
                if reads:
                    parameters.update(outputs)
                continue
            data.update(outputs)
            before = maker.get(sources[0])
            doer = mark
            if mark not in left and before is not None:
                if reads and mark is not None and mark not in found.get(before, ()):
                    found.setdefault(before, []).append(mark)
                doer = before
            maker.update(dict.fromkeys(outputs, doer))
        return found
