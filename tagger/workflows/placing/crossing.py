"""Which tensors go from one device to another, and how many bytes they have where their shapes are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod

import onnx

from onnx_tagger.measures.weights import stored_bytes
from onnx_tagger.model.graph import Op, Walk
from onnx_tagger.model.shapes import inferred_graph
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.analyses.dataflow import Flow


@dataclass(frozen=True, slots=True)
class Crossing:
    """The tensors that go from one device to another.

    Attributes
    ----------
    source, target : str or None
        The devices; None for nodes that no rule covers.
    tensors : tuple of str
        Their names, each once.
    bytes : int
        Of those whose size is known.
    unknown : int
        How many have a size that the file does not say.
    """

    source: str | None
    target: str | None
    tensors: tuple[str, ...]
    bytes: int
    unknown: int

    __repr__ = brief_fields


def crossings(
    walk: Walk, flow: Flow, device_of: Callable[[Op], str | None], sizes: Mapping[str, int | None]
) -> list[Crossing]:
    """The tensors that nodes of one device make and nodes of another read, by pair of devices.

    Parameters
    ----------
    walk : Walk
    flow : Flow
        Of the same model.
    device_of : callable
        The device of an op, or None.
    sizes : mapping
        Tensor name to bytes, of the main graph; see `tensor_bytes`.
    """
    # What owns bodies, or is inlined, computes nothing itself.
    owners = {scope.owner.id for scope in walk.scopes if scope.owner is not None}
    found: dict[tuple[str | None, str | None], dict[tuple[int, str], int | None]] = {}
    for op in walk.counted:
        if op.id in owners:
            continue
        target = device_of(op)
        for key in flow.inputs[op.id]:
            maker = flow.producer.get(key)
            if maker is None:
                continue
            source = device_of(walk.ops[maker])
            if source != target:
                size = sizes.get(key[1]) if key[0] == 0 else None
                found.setdefault((source, target), {})[key] = size
    return [_crossing(source, target, tensors) for (source, target), tensors in found.items()]


def _crossing(source: str | None, target: str | None, tensors: Mapping[tuple[int, str], int | None]) -> Crossing:
    known = [size for size in tensors.values() if size is not None]
    names = tuple(name for _, name in tensors)
    return Crossing(source, target, names, sum(known), len(tensors) - len(known))


def tensor_bytes(model: onnx.ModelProto) -> dict[str, int | None]:
    """Bytes of the tensors of the main graph: as the file states shapes, or as ONNX infers them; None if open.

    Parameters
    ----------
    model : onnx.ModelProto
        Weights may be missing.
    """
    return {value.name: bytes_of_type(value.type) for value in _typed(model)}


def _typed(model: onnx.ModelProto) -> Iterable[onnx.ValueInfoProto]:
    graph = model.graph
    stated = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    if not stated.issuperset(name for node in graph.node for name in node.output if name):
        graph = inferred_graph(model)
    return [*graph.value_info, *graph.input, *graph.output]


def bytes_of_type(kind: onnx.TypeProto) -> int | None:
    """Bytes of a tensor of a type; None where a size is open, or it is no tensor of numbers."""
    tensor = kind.tensor_type
    if kind.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
        return None
    if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    count = prod(dim.dim_value for dim in tensor.shape.dim)
    size = round(stored_bytes(tensor.elem_type, count))
    return size if size or not count else None
