"""Whether a flat file is the same graph as another: nodes, attributes, edges and tags, whatever names are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime

import onnx_tagger as ot


def canonical(model: onnx.ModelProto) -> list[tuple[object, ...]]:
    """A line for each node of the main graph by what it computes, in an order that names do not matter for.

    A tensor is known by the graph's input, the initializer, or the node (with its inputs, and so on) that makes it, as
    a number that equal tensors of two models share only if everything above them is equal.
    """
    known: dict[str, object] = {"": 0}
    for value in model.graph.input:
        known[value.name] = ("input", value.name)
    for tensor in model.graph.initializer:
        known[tensor.name] = ("weight", tensor.name)
    lines: list[tuple[object, ...]] = []
    waiting = list(model.graph.node)
    while waiting:
        node = waiting.pop(0)
        outer = _reads(node)
        assert all(name in known for name in outer), f"{node.name} stands before what it reads"
        tag = ot.tag_of(node)
        line = (
            node.domain,
            node.op_type,
            tuple(hash(known[name]) for name in outer),
            hash(_bare(node, known)),
            tag and (tag.module, tag.tag, tag.source, tag.origins, tag.call),
        )
        lines.append(line)
        for place, name in enumerate(node.output):
            if name:
                known[name] = (hash(line), place)
    ends = [("output", value.name, hash(known[value.name])) for value in model.graph.output]
    return [*sorted(lines, key=repr), *ends]


def _bare(node: onnx.NodeProto, known: dict[str, object]) -> bytes:
    """Attributes without names of tensors: those of bodies by their position."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    for field in ("name", "input", "output", "metadata_props", "doc_string"):
        made.ClearField(field)
    for attribute in made.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            _number(graph, {name: str(hash(value)) for name, value in known.items()})
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def _number(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    inner = dict(names)
    graph.name = ""
    del graph.value_info[:]
    for place, value in enumerate([*graph.input, *graph.initializer]):
        inner[value.name] = f"in{place}"
        value.name = inner[value.name]
    for place, node in enumerate(graph.node):
        for field, number in ((node.input, None), (node.output, place)):
            for at, name in enumerate(field):
                if name and number is not None:
                    inner[name] = f"node{number}.{at}"
                field[at] = inner.get(name, name) if name else ""
        tag = ot.tag_of(node)
        node.name = repr(tag)
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _number(body, inner)
    for value in graph.output:
        value.name = inner.get(value.name, value.name)


def _reads(node: onnx.NodeProto) -> list[str]:
    return list(node.input)


def outputs_of(path: str, feeds: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
    """What a file computes without any optimisation, in one thread."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found: Sequence[np.ndarray] = session.run(None, feeds)
    return found
