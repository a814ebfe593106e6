"""FX operations that an ONNX node does besides its own: those that the exporter's rewriter folded into it.

The rewriter keeps one of several stacks. An operation was folded into a reader if no ONNX node stands for it, data
flows through it, and it reads parameters of its own (a convolution before a normalisation), makes a tensor of another
shape that is no view (padding), or cuts values off before another one that does; else it may as well have been a no-op
that was dropped (dropout, a cast to the same type), and then it is nobody's work. Of equal operations the exporter
keeps one: its node does the work of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

import onnx
import onnx_ir as ir
import torch
from torch.utils import _pytree as pytree

from onnx_tagger.exporters.dynamo.converted import Makers
from onnx_tagger.exporters.interface import own_name
from onnx_tagger.exporters.recording.dispatched import is_view
from onnx_tagger.model.literals import literal_list
from onnx_tagger.model.metadata import TORCH_SCOPES, props_of

# The folder replaces a sequence of chunks by one Split and numbers its outputs so.
_PART = re.compile(r"_split_\d+$")

_ATEN = torch.ops.aten
_SATURATING = {_ATEN.relu, _ATEN.relu6, _ATEN.clamp, _ATEN.clamp_min, _ATEN.clamp_max, _ATEN.hardtanh}


class Absorbed:
    """Which operations each ONNX node has taken in.

    Parameters
    ----------
    program : torch.export.ExportedProgram
        What the ONNX graph was made of.
    nodes : iterable of onnx_ir.Node
        All nodes of the ONNX graph, those of the main graph first.
    makers : mapping
        What the nodes were before torch converted them to another opset, by the tensors that they make.
    """

    def __init__(self, program: torch.export.ExportedProgram, nodes: Iterable[ir.Node], makers: Makers) -> None:
        nodes = list(nodes)
        self.makers = makers
        self.main = nodes[0].graph if nodes else None
        self.named: dict[str, torch.fx.Node] = {node.name: node for node in program.graph.nodes}
        self.represented = {self.operation(node) for node in nodes}
        signature = program.graph_signature
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        held = {**program.state_dict, **program.constants}
        self.values = {name: held[target] for name, target in stored.items() if target in held}
        lifted = signature.inputs_to_lifted_tensor_constants
        # Each operation to the first one that is equal to it; filled by `twins`.
        self.first: dict[torch.fx.Node, torch.fx.Node] = {}
        self.constants = _constants(program.graph.nodes)
        self.parameters: set[torch.fx.Node] = set()
        self.data: set[torch.fx.Node] = set()
        for node in program.graph.nodes:
            if node.op == "placeholder":
                if node.name in stored:
                    self.parameters.add(node)
                elif node.name not in lifted:
                    self.data.add(node)
            elif any(source in self.data for source in node.all_input_nodes):
                self.data.add(node)
            elif any(source in self.parameters for source in node.all_input_nodes):
                # Made of parameters alone, as weight normalisation does: folded into a stored tensor.
                self.parameters.add(node)

    def operation(self, node: ir.Node) -> torch.fx.Node | None:
        """The FX operation that an ONNX node stands for.

        A rewritten node keeps only the operation's name, in torch's keys; one that the constant folder made keeps none,
        but the exporter names a tensor after the operation that makes it.
        """
        found = node.meta.get("node")
        if node.graph is not self.main:
            # Names of operations are unique in one graph only.
            return found if isinstance(found, torch.fx.Node) else None
        if isinstance(found, torch.fx.Node):
            return self.named.get(found.name, found)
        entries = node.metadata_props if (maker := self.maker(node)) is None else props_of(maker)
        scopes = literal_list(entries.get(TORCH_SCOPES))
        if scopes:
            return self.named.get(scopes[-1])
        names = map(own_name, node.outputs)
        return next((self.named[name] for text in names if (name := _PART.sub("", text)) in self.named), None)

    def maker(self, node: ir.Node) -> onnx.NodeProto | None:
        """What a node was before it was converted, if torch's keys were lost by that."""
        if TORCH_SCOPES in node.metadata_props:
            return None
        names = map(own_name, node.outputs)
        return next((self.makers[name] for name in names if name in self.makers), None)

    def by(self, node: ir.Node) -> Iterator[torch.fx.Node]:
        """The operations that an ONNX node has taken in besides its own."""
        own = self.operation(node)
        if own is None:
            return
        yield from self.twins.get(own, ())
        stack, seen = [own], {own}
        while stack:
            for source in stack.pop().all_input_nodes:
                if source in seen or source in self.represented or source not in self.data or source in self.merged:
                    continue
                if source.op != "call_function":
                    continue
                seen.add(source)
                stack.append(source)
                if self._weighted(source) or (self._weighted(own) and _reshapes(source)) or _saturates(source, own):
                    yield source

    def _weighted(self, operation: torch.fx.Node) -> bool:
        """Whether an operation reads parameters."""
        return any(source in self.parameters for source in operation.all_input_nodes)

    @cached_property
    def twins(self) -> dict[torch.fx.Node, list[torch.fx.Node]]:
        """Operations for which no node stands since another one does the same with equal parameters, by that one.

        What the exporter drops without merging looks the same, unless it reads parameters or follows what was merged.
        """
        equal: dict[torch.fx.Node, list[torch.fx.Node]] = {}
        alike: dict[object, list[torch.fx.Node]] = {}
        for operation in self.named.values():
            if operation.op == "call_function" and operation in self.data:
                others = alike.setdefault(self._form(operation), [])
                first = next((other for other in others if self._equal(operation, other)), operation)
                if first is operation:
                    others.append(operation)
                else:
                    self.first[operation] = first
                equal.setdefault(first, []).append(operation)
        found: dict[torch.fx.Node, list[torch.fx.Node]] = {}
        for operations in equal.values():
            kept = [operation for operation in operations if operation in self.represented]
            for operation in operations if kept else ():
                follows = any(source in self.first for source in operation.all_input_nodes)
                if operation not in self.represented and (follows or self._weighted(operation)):
                    found.setdefault(kept[0], []).append(operation)
        return found

    @cached_property
    def merged(self) -> set[torch.fx.Node]:
        """The operations that are done by another one's node."""
        return {operation for operations in self.twins.values() for operation in operations}

    def _form(self, operation: torch.fx.Node) -> object:
        """What equal operations have in common: all but which parameters they read."""
        leaves, form = pytree.tree_flatten((operation.args, operation.kwargs))
        return operation.target, str(form), tuple(map(self._leaf, leaves))

    def _leaf(self, leaf: object) -> object:
        if isinstance(leaf, torch.fx.Node):
            return self.first.get(leaf, leaf) if leaf in self.data else None
        return type(leaf), repr(leaf)

    def _equal(self, one: torch.fx.Node, other: torch.fx.Node) -> bool:
        """Whether two operations of one form read equal parameters."""
        read = ([node for node in operation.all_input_nodes if node not in self.data] for operation in (one, other))
        return all(map(self._same, *read))

    def _same(self, mine: torch.fx.Node, others: torch.fx.Node) -> bool:
        value, same = self.values.get(mine.name), self.values.get(others.name)
        if value is not None and same is not None:
            return torch.equal(value, same)
        return self.constants.get(mine, mine) is self.constants.get(others, others)


def _constants(nodes: Iterable[torch.fx.Node]) -> dict[torch.fx.Node, torch.fx.Node]:
    """Operations on nothing (the zeros that a recurrent layer starts from), each to the first that makes the same."""
    found: dict[torch.fx.Node, torch.fx.Node] = {}
    alike: dict[object, torch.fx.Node] = {}
    for node in nodes:
        tags = getattr(node.target, "tags", ())
        if node.op == "call_function" and not node.all_input_nodes and torch.Tag.nondeterministic_seeded not in tags:
            form = node.target, repr(node.args), repr(sorted(node.kwargs.items()))
            found[node] = alike.setdefault(form, node)
    return found


def _saturates(*operations: torch.fx.Node) -> bool:
    """Whether all of them cut values off, which the exporter makes one node of if they follow each other."""
    return all(getattr(operation.target, "overloadpacket", None) in _SATURATING for operation in operations)


def _reshapes(operation: torch.fx.Node) -> bool:
    """Whether an operation makes a tensor of another shape than it takes, and not by looking at it in another way."""
    made = operation.meta.get("val")
    taken = operation.all_input_nodes[0].meta.get("val")
    if not isinstance(made, torch.Tensor) or not isinstance(taken, torch.Tensor):
        return False
    return made.shape != taken.shape and not is_view(operation.target)
