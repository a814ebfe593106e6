"""The fx strategy: `torch.export` and the dynamo exporter; tags come from the stack that FX keeps on every node.

The one private name of torch used here is the key of the stack that it gives to nodes outside of every module.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import onnx
import onnx_ir as ir
import torch
from torch._export.passes._node_metadata_hook import _EMPTY_NN_MODULE_STACK_KEY

from onnx_tagger.errors import ExportError
from onnx_tagger.exporters.base import Exported, Request, parameter_owners, pass_through
from onnx_tagger.exporters.capture import Captured
from onnx_tagger.exporters.dynamo.absorbed import Absorbed
from onnx_tagger.exporters.dynamo.converted import Makers, conversion_watched
from onnx_tagger.exporters.dynamo.followed import Followed
from onnx_tagger.exporters.dynamo.lowered import enclosing_operations, repeated_by
from onnx_tagger.exporters.dynamo.program import make_program
from onnx_tagger.exporters.dynamo.saving import save_program, without_values
from onnx_tagger.exporters.torchscript.flatcall import structures_known
from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.model.dialects import EXPORT_ROOT, claims
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.report import Report


class FxExporter:
    """Exports through `torch.onnx.export(dynamo=True)`."""

    name = "fx"

    def export(self, request: Request, captured: Captured) -> Exported:
        """Export, tag and save a model.

        Parameters
        ----------
        request : Request
        captured : Captured
            The model's usage map.

        Returns
        -------
        Exported

        Raises
        ------
        ExportError
            If torch cannot export the model.
        """
        report = Report()
        notes: list[str] = []
        with report.phase("export"), structures_known(captured.structures), conversion_watched() as makers:
            program, followed = make_program(request, notes)
        hierarchy = captured.hierarchy
        if request.annotate is not None:
            with report.phase("tag"):
                hierarchy = _annotate(program, request, makers, _Frames(program.exported_program, captured, followed))
        with report.phase("save"):
            proved = save_program(program, request.path, request.verify_bytes)
        return Exported(request.path, hierarchy, report.phases, notes, proved)


def _annotate(program: Any, request: Request, makers: Makers, frames: _Frames) -> HierarchyMap:
    """Tag the program's IR: build the graph without payloads, have it tagged, carry the entries over."""
    model: ir.Model = program.model
    skeleton = without_values(model)
    walked = walk(skeleton)
    nodes = _nodes(model)
    if len(nodes) != len(walked.ops):
        raise ExportError(f"the program lists {len(nodes)} nodes, its serialized form {len(walked.ops)}")
    tree = frames.captured.hierarchy
    absorbed = Absorbed(program.exported_program, nodes, makers)
    operations = enclosing_operations(walked, [absorbed.operation(node) for node in nodes])
    said: list[Tag | None] = []
    for node, op, operation in zip(nodes, walked.ops, operations, strict=True):
        tag = _said(operation, absorbed.maker(node) or op.node, frames)
        loop = repeated_by(op, operations)
        if loop is not None and tag is not None:
            tag = replace(tag, call=_call_in_loop(tag, said[loop.id]))
        more = [found for fx_node in absorbed.by(node) if (found := frames.innermost(fx_node)) is not None]
        said.append(tree.merged([*more, tag], request.merge) if tag is not None and more else tag)
    pass_through(walked, said, tree)
    graph = SavedGraph.of(walked, said, parameter_owners(tree))
    assert request.annotate is not None
    finished = request.annotate(skeleton, replace(tree, graph=graph))
    for node, op in zip(nodes, walked.ops, strict=True):
        # Torch's own value of a dialect that was asked for has been replaced.
        for entry in op.node.metadata_props:
            node.metadata_props[entry.key] = entry.value
        if op.node.doc_string:
            node.doc_string = op.node.doc_string
    for entry in skeleton.metadata_props:
        model.metadata_props.setdefault(entry.key, entry.value)
    return finished


def _nodes(model: ir.Model) -> list[ir.Node]:
    """The nodes in the order of our walk."""
    found = list(ir.traversal.RecursiveGraphIterator(model.graph))
    for function in model.functions.values():
        found.extend(ir.traversal.RecursiveGraphIterator(function))
    return found


def _said(fx_node: torch.fx.Node | None, proto: onnx.NodeProto, frames: _Frames) -> Tag | None:
    """What the exporter says of a node: the innermost frame of the FX stack, or torch's keys if no FX node is left."""
    found = frames.innermost(fx_node) if fx_node is not None else None
    if found is not None:
        return found
    tree = frames.captured.hierarchy
    for claim in claims(proto, ("torch",)):
        path = _tagged(claim.module or "", tree)
        if path is not None:
            return tree.tag(path, Source.EXPORTED)
    return None


def _call_in_loop(tag: Tag, loop: Tag | None) -> tuple[str, ...]:
    """The call of a module whose own calls in a loop cannot be told apart: that of the module that has the loop."""
    if loop is None or not loop.call or not f"{tag.module}.".startswith(f"{loop.module}."):
        return ()
    return tuple(f"{call}{tag.module[len(loop.module) :]}" for call in loop.call)


class _Frames:
    """Reads in which call of which module FX nodes were made: as was noted, else as their stacks say.

    FX numbers calls by name, so those by an alias anew; where a module has one, its frames are counted here.
    """

    def __init__(self, program: torch.export.ExportedProgram, captured: Captured, followed: Followed) -> None:
        self.captured, self.followed = captured, followed
        tree = captured.hierarchy
        self.keys: dict[str, dict[str, int]] = {module.path: {} for module in tree.modules if module.aliases}
        for fx_node in program.graph.nodes if self.keys else ():
            for key, (path, _) in fx_node.meta.get("nn_module_stack", {}).items():
                module = tree.resolve(path)
                if module is not None and module.path in self.keys:
                    self.keys[module.path].setdefault(key, len(self.keys[module.path]))

    def innermost(self, fx_node: torch.fx.Node) -> Tag | None:
        """The innermost call that an operation is of."""
        tree = self.captured.hierarchy
        key, (path, _) = next(reversed(fx_node.meta.get("nn_module_stack", {}).items()), ("", ("", "")))
        # Sizes that torch reads off the graph's inputs after tracing stand outside of every module: the root's.
        if key == _EMPTY_NN_MODULE_STACK_KEY:
            return tree.tag("", Source.EXPORTED)
        noted = self.followed.call(fx_node)
        if noted is None and not key:
            return None
        found = _tagged(path if noted is None else noted[0], tree)
        if found is None:
            return None
        if noted is not None and noted[1] is not None:
            number = noted[1]
        elif noted is None or _tagged(path, tree) == found:
            number = self._number(found, key)
        else:
            # A direct call that dynamo has read: which of several it was, nobody has counted.
            number = 0 if tree.by_path[found].calls == 1 else -1
        return tree.tag(found, Source.EXPORTED, call=self.captured.calls.label(found, number) if number >= 0 else ())

    def _number(self, module: str, key: str) -> int:
        """The number of the call that a frame's key stands for, from 0."""
        if module in self.keys:
            return self.keys[module].get(key, 0)
        number = key.rpartition("@")[2]
        return int(number) if "@" in key and number.isdigit() else 0


def _tagged(path: str, tree: HierarchyMap) -> str | None:
    """Canonical path of the innermost tagged module at or around `path`; None if the tree does not have it."""
    if path == EXPORT_ROOT or path.startswith(EXPORT_ROOT + "."):
        path = path[len(EXPORT_ROOT) + 1 :]
    module = tree.resolve(path)
    return tree.chain(module.path)[-1] if module is not None else None
