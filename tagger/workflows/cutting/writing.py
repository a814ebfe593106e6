"""A module that was cut, as a file with tags seen from it, and the map of its modules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx

from onnx_tagger.files.parts import Part, functions_of, nodes_of, write_part
from onnx_tagger.hierarchy.loading import owners_of
from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.model.graph import bodies, callee, function_key, walk
from onnx_tagger.model.metadata import MAP, own_tag, props_of, text_of
from onnx_tagger.passes.folding.renaming import rename
from onnx_tagger.workflows.cutting.cut import Cut, Opened
from onnx_tagger.workflows.cutting.layouts import inside_name, to_blocked, to_plain
from onnx_tagger.workflows.cutting.naming import inner_values, renamed
from onnx_tagger.workflows.cutting.relative import rerooted, retag_node


def write_cut(opened: Opened, cut: Cut, target: Path) -> tuple[int, Path]:
    """Write a module to a file, and its map beside it.

    Initializers are copied by ranges of the file, so that memory does not grow with the weights; what nodes hold in
    their attributes is in memory.

    Returns
    -------
    tuple of (int, Path)
        Bytes of the file and its data file, and the map.

    Raises
    ------
    TaggerError
        If they cannot be written.
    """
    tree = rerooted(opened.tree, cut.module)
    channels = opened.channels(cut)
    inside = {name: inside_name(new) if name in channels else new for name, new in cut.names.items()}
    nodes = list(_nodes(opened, cut, tree, {name: new for name, new in inside.items() if name != new}))
    functions = _functions(opened, cut, tree, [node for _, node in nodes])
    with_graph = tree.with_graph(_saved_graph(opened, cut, [node for _, node in nodes]))
    saved = target.with_name(f"{target.name.removesuffix('.onnx')}.hierarchy.json")
    digest = with_graph.save(saved)
    region, types, model = cut.region, opened.types, opened.skeleton.model
    made = {name for index in region.nodes for name in opened.graph.makes[index]}
    part = Part(
        region.nodes,
        frozenset(region.stored),
        [renamed(types[name], cut.names[name]) for name in region.inputs],
        [renamed(types[name], cut.names[name]) for name in region.outputs],
        {},
        [(text_of(e.key), digest if e.key == MAP else text_of(e.value)) for e in model.metadata_props],
        {index: node.SerializeToString() for index, node in nodes},
        [function.SerializeToString() for function in functions],
        inner_values(model.graph, made, set(region.outputs) | opened.blocked),
        [to_blocked(cut.names[n], inside[n]).SerializeToString() for n in region.inputs if n in channels],
        [to_plain(inside[n], cut.names[n], channels[n]).SerializeToString() for n in region.outputs if n in channels],
    )
    return write_part(opened.skeleton, part, target), saved


def _nodes(opened: Opened, cut: Cut, tree: HierarchyMap, names: dict[str, str]) -> Iterable[tuple[int, onnx.NodeProto]]:
    for index, node in nodes_of(opened.skeleton, cut.region.nodes):
        retag_node(node, opened.tags[index], cut.module, tree, opened.also)
        if names:
            rename(node, names)
        yield index, node


def _functions(
    opened: Opened, cut: Cut, tree: HierarchyMap, nodes: Sequence[onnx.NodeProto]
) -> list[onnx.FunctionProto]:
    """The functions that nodes call, and those that these call."""
    if not opened.skeleton.model.functions:
        return []
    by_key = {function_key(function): function for function in functions_of(opened.skeleton)}
    found: dict[object, onnx.FunctionProto] = {}
    pending = list(nodes)
    while pending:
        node = pending.pop()
        key = callee(node)
        if key in by_key and key not in found:
            found[key] = by_key[key]
            pending += by_key[key].node
        pending += [inner for _, body in bodies(node) for inner in body.node]
    for function in found.values():
        for node in function.node:
            retag_node(node, None, cut.module, tree, opened.also)
    return [function for key, function in by_key.items() if key in found]


def _saved_graph(opened: Opened, cut: Cut, nodes: Sequence[onnx.NodeProto]) -> SavedGraph:
    """The graph of the part as its map holds it."""
    region = cut.region
    stub = onnx.ModelProto(ir_version=opened.skeleton.model.ir_version)
    stub.graph.node.extend(nodes)
    stub.graph.input.extend(onnx.ValueInfoProto(name=cut.names[name]) for name in region.inputs)
    stub.graph.output.extend(onnx.ValueInfoProto(name=cut.names[name]) for name in region.outputs)
    stub.graph.initializer.extend(onnx.TensorProto(name=name) for name in region.stored)
    walked = walk(stub)
    tags = [own_tag(props_of(op.node)) for op in walked.ops]
    return SavedGraph.of(walked, tags, owners_of(walked, tags))
