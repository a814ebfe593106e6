"""Nodes that stay in floating point but read a tensor that was quantised and dequantised for another reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import onnx

_PAIR = ("QuantizeLinear", "DequantizeLinear")


def leaks(graph: onnx.GraphProto, kept: Collection[str]) -> list[tuple[onnx.NodeProto, int, str]]:
    """Inputs of kept nodes that are dequantised copies of a float tensor.

    Parameters
    ----------
    graph : onnx.GraphProto
        The main graph of a quantised file; nodes in its bodies are not looked at.
    kept : collection of str
        Names of the nodes that were to stay as they are.

    Returns
    -------
    list of (node, position of the input, name of the float tensor)
    """
    makers = {output: node for node in graph.node if node.op_type in _PAIR for output in node.output}
    found = []
    for node in graph.node:
        for position, name in enumerate(node.input if node.name in kept and node.op_type not in _PAIR else ()):
            dequantise = makers.get(name)
            if dequantise is None or dequantise.op_type != _PAIR[1]:
                continue
            quantise = makers.get(dequantise.input[0])
            if quantise is not None and quantise.op_type == _PAIR[0]:
                found.append((node, position, quantise.input[0]))
    return found


def mend_leaks(model: onnx.ModelProto, kept: Collection[str]) -> int:
    """Let kept nodes read the float tensors again, and remove pairs that nobody reads any more.

    Only nodes of ``kept`` are changed: other nodes in floating point may read a quantised copy on purpose, since
    onnxruntime fuses such nodes into kernels for integers.

    Parameters
    ----------
    model : onnx.ModelProto
        Changed in place.
    kept : collection of str
        Names of the nodes that were to stay as they are; a node without a name is never meant.

    Returns
    -------
    int
        How many inputs were mended.
    """
    graph = model.graph
    found = leaks(graph, frozenset(kept) - {""})
    before = Counter(_reads(graph))
    for node, position, name in found:
        node.input[position] = name
    if found:
        _remove_unread(graph, before)
    return len(found)


def _remove_unread(graph: onnx.GraphProto, before: Counter[str]) -> None:
    """Remove the pairs, and their scales, that had a reader before and have none now."""
    reads = Counter(_reads(graph))
    makers = {output: node for node in graph.node if node.op_type in _PAIR for output in node.output}
    waiting = [name for name in before if not reads[name]]
    dead = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and id(node) not in dead:
            dead.add(id(node))
            reads.subtract(node.input)
            waiting += [name for name in node.input if not reads[name]]
    nodes = [node for node in graph.node if id(node) not in dead]
    stored = [tensor for tensor in graph.initializer if reads[tensor.name] > 0 or not before[tensor.name]]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(stored)


def _reads(graph: onnx.GraphProto) -> Iterator[str]:
    """Every name that is read, also in bodies, and the graph's outputs; once for each reader."""
    yield from (output.name for output in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _reads(body)
