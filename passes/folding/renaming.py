"""Nodes with other names of tensors, in their bodies too, by ONNX scoping: what a body defines hides what is around."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx

from onnx_tagger.model.graph import bodies

LOCAL = "local_"
"""What the names of tensors in bodies begin with, once they are numbered."""


def outer_reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors around a node that it reads, those that its bodies read too; names may come up several times."""
    yield from filter(None, node.input)
    for _, graph in bodies(node):
        inside = _defined(graph)
        for inner in graph.node:
            yield from (name for name in outer_reads(inner) if name not in inside)
        yield from (value.name for value in graph.output if value.name not in inside)


def names_in_bodies(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """The tensors that bodies of nodes define, at any depth."""
    found: set[str] = set()
    for node in nodes:
        for _, graph in bodies(node):
            found |= _defined(graph) | names_in_bodies(graph.node)
    return found


def rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Give the tensors around a node other names, in place."""
    for field in (node.input, node.output):
        for at, name in enumerate(field):
            if name in names:
                field[at] = names[name]
    for _, graph in bodies(node):
        _rename_in(graph, names)


def _rename_in(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    hidden = _defined(graph)
    seen = {name: new for name, new in names.items() if name not in hidden} if hidden & names.keys() else names
    for node in graph.node:
        rename(node, seen)
    for value in graph.output:
        if value.name in seen:
            value.name = seen[value.name]


def number_bodies(node: onnx.NodeProto) -> int:
    """Number the tensors and nodes that the bodies of a node define, in place, and return how many tensors there are.

    Equal bodies are equal messages then, whatever names an exporter gave.
    """
    count = 0

    def number(graph: onnx.GraphProto, around: Mapping[str, str]) -> None:
        nonlocal count
        names = dict(around)
        for name in _defined_in_order(graph):
            names[name] = f"{LOCAL}{count}"
            count += 1
        graph.name = "body"
        del graph.value_info[:]
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = names.get(value.name, value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names[sparse.values.name]
        for at, inner in enumerate(graph.node):
            inner.name = f"{inner.op_type}_{at}"
            for field in (inner.input, inner.output):
                for place, name in enumerate(field):
                    field[place] = names.get(name, name)
            for _, body in bodies(inner):
                number(body, names)

    for _, graph in bodies(node):
        number(graph, {})
    return count


def _defined_in_order(graph: onnx.GraphProto) -> dict[str, None]:
    values = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    values += [tensor.values.name for tensor in graph.sparse_initializer]
    return dict.fromkeys(filter(None, [*values, *(name for node in graph.node for name in node.output)]))


def _defined(graph: onnx.GraphProto) -> set[str]:
    return set(_defined_in_order(graph))


def nodes_of(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """A node and all nodes of its bodies, in the order in which a model is walked."""
    yield node
    for _, graph in bodies(node):
        for inner in graph.node:
            yield from nodes_of(inner)
