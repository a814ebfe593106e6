"""The way back: calls of modules become the nodes of their functions, each with the tag that it has in this call.

A node of a shared function has the modules of all calls as origins; in one call, those count that lie in the module of
the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.metadata import Tag, clear_node, own_tag, props_of, write_node
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.folding.folding import calls_of
from onnx_tagger.passes.folding.functions import DOMAIN
from onnx_tagger.passes.folding.renaming import names_in_bodies, nodes_of, rename


@dataclass(frozen=True)
class InlineModules(Pass):
    """Put the nodes of functions that are modules in the place of their calls."""

    name: ClassVar[str] = "inline-modules"
    touches: ClassVar[Touches] = Touches.TOPOLOGY | Touches.TAGS | Touches.METADATA

    def run(self, ctx: Context) -> int:
        """Return how many calls were replaced."""
        model, tree = ctx.model, ctx.hierarchy
        functions = {function.name: function for function in model.functions if function.domain == DOMAIN}
        if not functions or tree is None:
            return 0
        inlining = _Inlining(model, functions, tree)
        nodes = onnx.GraphProto(node=inlining.nodes())
        del model.graph.node[:]
        model.graph.node.extend(nodes.node)
        others = [function for function in model.functions if function.domain != DOMAIN]
        opsets = [opset for opset in model.opset_import if opset.domain != DOMAIN]
        kept = onnx.ModelProto(functions=others, opset_import=opsets)
        del model.functions[:], model.opset_import[:]
        model.functions.extend(kept.functions)
        model.opset_import.extend(kept.opset_import)
        return inlining.replaced


class _Inlining:
    def __init__(self, model: onnx.ModelProto, functions: Mapping[str, onnx.FunctionProto], tree: HierarchyMap) -> None:
        self.graph, self.functions, self.tree = model.graph, functions, tree
        self.counts = calls_of(model)
        self.tensors = {value.name for value in model.graph.input} | {t.name for t in model.graph.initializer}
        self.tensors |= {name for node in model.graph.node for name in node.output}
        self.tensors |= names_in_bodies(model.graph.node)
        for function in functions.values():
            self.tensors |= names_in_bodies(function.node)
        self.names = {node.name for node in model.graph.node}
        self.replaced = 0

    def nodes(self) -> Iterator[onnx.NodeProto]:
        """The nodes of the flat graph; calls in functions are replaced as they come up."""
        stack = list(reversed(self.graph.node))
        while stack:
            node = stack.pop()
            function = self.functions.get(node.op_type) if node.domain == DOMAIN else None
            if function is None:
                yield node
                continue
            self.replaced += 1
            stack.extend(reversed(list(self._body(node, function))))

    def _body(self, call: onnx.NodeProto, function: onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
        once = self.counts[function.name] == 1
        names = dict(zip((*function.input, *function.output), (*call.input, *call.output), strict=True))
        for name in (name for node in function.node for name in node.output if name and name not in names):
            names[name] = self._free(name if once else f"{call.name}/{name}", self.tensors)
        caller = own_tag(props_of(call))
        for inner in function.node:
            node = onnx.NodeProto()
            node.CopyFrom(inner)
            rename(node, names)
            if not once:
                node.name = self._free(self._name(call, node), self.names)
                for each in nodes_of(node):
                    self._tag(each, caller)
            yield node

    def _name(self, call: onnx.NodeProto, node: onnx.NodeProto) -> str:
        return f"{call.name}.{node.name}" if node.domain == DOMAIN else f"{call.name}/{node.name}"

    def _free(self, wish: str, taken: set[str]) -> str:
        while wish in taken:
            wish += "_"
        taken.add(wish)
        return wish

    def _tag(self, node: onnx.NodeProto, caller: Tag | None) -> None:
        tag = own_tag(props_of(node))
        if tag is None or caller is None:
            return
        origins = [path for path in tag.modules if self.tree.encloses(caller.module, path)]
        within = caller.call[0] if len(caller.call) == 1 else caller.module
        calls = tuple(call for call in tag.call if call == within or call.startswith(f"{within}."))
        clear_node(node, ())
        if origins:
            write_node(node, self.tree.tag(self.tree.enclosing(origins), tag.source, origins, calls), ())
