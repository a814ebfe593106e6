"""A part of a model as a file of its own: some nodes of its main graph, with the tensors that they read.

Nodes, tensors and functions are copied by ranges of the source's bytes, so that the memory it takes does not grow with
the weights. Which nodes belong together, and of what type the tensors at the border are, is decided by others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.external import contained, tensors_of
from onnx_tagger.files.filecopy import Output, permissions_of, replacing
from onnx_tagger.files.onnxfile import Skeleton
from onnx_tagger.files.splice import parse
from onnx_tagger.files.wire import MAX_MESSAGE, Reader, length_prefix, open_file, varint
from onnx_tagger.model.texts import brief, counted

_NODE = varint(wire.NODE_OF_GRAPH << 3 | wire.LENGTH)
_INITIALIZER = varint(wire.INITIALIZER_OF_GRAPH << 3 | wire.LENGTH)
_FUNCTION = varint(wire.FUNCTION_OF_MODEL << 3 | wire.LENGTH)
_GRAPH = varint(wire.GRAPH_OF_MODEL << 3 | wire.LENGTH)


@dataclass(frozen=True)
class Part:
    """What goes into a file.

    Attributes
    ----------
    nodes : sequence of int
        Positions in the main graph, in an order in which they can run.
    initializers : collection of str
        Names of initializers of the main graph.
    inputs, outputs : sequence of onnx.ValueInfoProto
        The border.
    entries : mapping
        Position of a node to metadata entries, serialized, that it gets behind those that it has.
    metadata : sequence of (str, str)
        Entries of the new model, in place of the source's.
    rewritten : mapping
        Position of a node to what is written in its place, serialized.
    functions : sequence of bytes, optional
        The functions that come along, serialized; those of the source if left out.
    values : sequence of onnx.ValueInfoProto
        What is stated of tensors inside.
    before, after : sequence of bytes
        Nodes to put in front of the others and behind them, serialized.
    """

    nodes: Sequence[int]
    initializers: Collection[str]
    inputs: Sequence[onnx.ValueInfoProto]
    outputs: Sequence[onnx.ValueInfoProto]
    entries: Mapping[int, bytes]
    metadata: Sequence[tuple[str, str]] = ()
    rewritten: Mapping[int, bytes] = field(default_factory=dict)
    functions: Sequence[bytes] | None = None
    values: Sequence[onnx.ValueInfoProto] = ()
    before: Sequence[bytes] = ()
    after: Sequence[bytes] = ()

    def __repr__(self) -> str:
        return brief(self, counted(len(self.nodes), "node"), counted(len(self.initializers), "initializer"))


@dataclass(frozen=True)
class _Values:
    """The values of an initializer that lie in a data file."""

    path: Path
    offset: int
    length: int


def write_part(skeleton: Skeleton, part: Part, target: Path) -> int:
    """Write a part of a model to a file, and the values of its tensors that lie in data files to one beside it.

    Parameters
    ----------
    skeleton : Skeleton
        Of a file here.
    part : Part
    target : Path

    Returns
    -------
    int
        Bytes that were written.

    Raises
    ------
    TaggerError
        If the target cannot be written, or the part cannot be one file.
    """
    permissions_of(target)
    graph = skeleton.model.graph
    places = [k for k, tensor in enumerate(graph.initializer) if tensor.name in part.initializers]
    apart = {k for k in places if graph.initializer[k].data_location == onnx.TensorProto.EXTERNAL}
    data = target.with_name(f"{target.name}.data")
    written = 0
    tensors: dict[int, bytes] = {}
    if apart:
        with replacing(data) as output:
            for k in sorted(apart):
                tensors[k] = _moved(skeleton, graph.initializer[k], output, data.name, written).SerializeToString()
                written += _length_of(tensors[k])
    with skeleton.opened() as reader, replacing(target) as output:
        _write(skeleton, part, places, tensors, reader, output, target)
    return written + target.stat().st_size


def nodes_of(skeleton: Skeleton, places: Sequence[int]) -> Iterator[tuple[int, onnx.NodeProto]]:
    """Nodes of the main graph with all that is in them, tensors in attributes too, one after the other."""
    spans = skeleton.layout.nodes
    with skeleton.opened() as reader:
        for k in places:
            data = reader.read_at(spans[3 * k + 1], spans[3 * k + 2] - spans[3 * k + 1])
            yield k, parse(onnx.NodeProto.FromString, bytearray(data), reader, spans[3 * k + 1])


def functions_of(skeleton: Skeleton) -> list[onnx.FunctionProto]:
    """The functions of a model with all that is in them."""
    with skeleton.opened() as reader:
        return [
            parse(onnx.FunctionProto.FromString, bytearray(reader.read_at(start, stop - start)), reader, start)
            for start, stop in _functions(skeleton)
        ]


def insist_on_parts(skeleton: Skeleton) -> None:
    """Raise unless parts of a model can be written.

    Raises
    ------
    TaggerError
        If it is not in a file here, or holds what cannot be copied apart: sparse initializers, or tensors in attributes
        that have data files.
    """
    if skeleton.path is None:
        raise TaggerError(f"{skeleton.name}: parts can only be taken of a file here; copy it here first")
    if skeleton.model.graph.sparse_initializer:
        name = skeleton.model.graph.sparse_initializer[0].values.name
        raise TaggerError(f"{skeleton.name}: the initializer {name!r} is sparse, which cannot be copied; make it dense")
    stored = {id(tensor) for tensor in skeleton.model.graph.initializer}
    for tensor in tensors_of(skeleton.model) if skeleton.external else ():
        if tensor.data_location == onnx.TensorProto.EXTERNAL and id(tensor) not in stored:
            raise TaggerError(
                f"{skeleton.name}: the tensor {tensor.name!r} in an attribute lies in a data file, which cannot be "
                "copied; save the model with its attributes inside (onnx.save)"
            )


def _write(
    skeleton: Skeleton,
    part: Part,
    places: Sequence[int],
    tensors: Mapping[int, bytes],
    reader: Reader,
    output: Output,
    target: Path,
) -> None:
    spans, weights = skeleton.layout.nodes, skeleton.layout.initializers
    head, tail = _opening(skeleton.model, part), _border(skeleton.model.graph, part)
    whole = [part.rewritten.get(k) for k in part.nodes]
    sizes = [
        (spans[3 * k + 2] - spans[3 * k + 1] if data is None else len(data)) + len(part.entries.get(k, b""))
        for k, data in zip(part.nodes, whole, strict=True)
    ]
    around = [len(data) for data in (*part.before, *part.after)]
    stored = [len(tensors[k]) if k in tensors else weights[3 * k + 2] - weights[3 * k + 1] for k in places]
    inside = sum(1 + len(length_prefix(size)) + size for size in (*sizes, *stored, *around)) + len(tail)
    if inside > MAX_MESSAGE:
        raise TaggerError(f"{target}: would exceed 2 GiB, which protobuf cannot read; take smaller parts")
    output.write(head)
    for start, stop in _functions(skeleton) if part.functions is None else ():
        output.write(_FUNCTION + length_prefix(stop - start))
        output.copy(reader, start, stop)
    for data in part.functions or ():
        output.write(_FUNCTION + length_prefix(len(data)) + data)
    output.write(_GRAPH + length_prefix(inside))
    for data in part.before:
        output.write(_NODE + length_prefix(len(data)) + data)
    for k, size, new in zip(part.nodes, sizes, whole, strict=True):
        output.write(_NODE + length_prefix(size))
        if new is None:
            output.copy(reader, spans[3 * k + 1], spans[3 * k + 2])
        else:
            output.write(new)
        output.write(part.entries.get(k, b""))
    for data in part.after:
        output.write(_NODE + length_prefix(len(data)) + data)
    for k, size in zip(places, stored, strict=True):
        output.write(_INITIALIZER + length_prefix(size))
        if k in tensors:
            output.write(tensors[k])
        else:
            output.copy(reader, weights[3 * k + 1], weights[3 * k + 2])
    output.write(tail)


def _functions(skeleton: Skeleton) -> Iterator[tuple[int, int]]:
    for number, _, _, _, value, end in skeleton.layout.top:
        if number == wire.FUNCTION_OF_MODEL:
            yield value, end


def _opening(model: onnx.ModelProto, part: Part) -> bytes:
    """The model's own fields, without graph and functions."""
    made = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    made.opset_import.extend(model.opset_import)
    for key, value in part.metadata:
        made.metadata_props.add(key=key, value=value)
    data: bytes = made.SerializeToString()
    return data


def _border(graph: onnx.GraphProto, part: Part) -> bytes:
    """The graph's own fields, without nodes and tensors."""
    made = onnx.GraphProto(name=graph.name or "part")
    made.input.extend(part.inputs)
    made.output.extend(part.outputs)
    made.value_info.extend(part.values)
    made.quantization_annotation.extend(
        note
        for note in graph.quantization_annotation
        if all(entry.value in part.initializers for entry in note.quant_parameter_tensor_names)
    )
    data: bytes = made.SerializeToString()
    return data


def _moved(skeleton: Skeleton, tensor: onnx.TensorProto, output: Output, name: str, at: int) -> onnx.TensorProto:
    """A tensor whose values were copied to another data file."""
    assert skeleton.path is not None
    values = _values(skeleton.path, tensor)
    with open_file(values.path) as reader:
        if values.offset < 0 or values.length < 0 or values.offset + values.length > reader.size:
            raise TaggerError(f"{values.path}: ends before the values of {tensor.name!r}; copy the data file again")
        output.copy(reader, values.offset, values.offset + values.length)
    made = onnx.TensorProto()
    made.CopyFrom(tensor)
    del made.external_data[:]
    for key, value in (("location", name), ("offset", str(at)), ("length", str(values.length))):
        made.external_data.add(key=key, value=value)
    return made


def _values(model: Path, tensor: onnx.TensorProto) -> _Values:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = contained(model.resolve().parent, entries.get("location", ""))
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries["length"]) if "length" in entries else path.stat().st_size - offset
    except (ValueError, OSError) as error:
        raise TaggerError(f"{path}: the values of {tensor.name!r} cannot be found ({error}); save it again") from error
    return _Values(path, offset, length)


def _length_of(tensor: bytes) -> int:
    made = onnx.TensorProto.FromString(tensor)
    return int(next(entry.value for entry in made.external_data if entry.key == "length"))
