"""Saving torch's program: its graph without the values of large initializers, and the file with them.

onnx-ir puts all values into one message, serializes that and writes the result, three copies of the weights; here they
are written from where they lie.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_tagger.files.filecopy import Output
from onnx_tagger.files.filled import filled
from onnx_tagger.files.proof import Weights, weights_of_values
from onnx_tagger.files.scratch import scratch_folder

# Tensors above this many bytes are left out of the graph that is tagged before the save.
_LARGE = 1024

# Weights above this many bytes go into a file of their own, as they do where torch's program saves itself
# (`_LARGE_MODEL_THRESHOLD` there): whoever exports with torch and with us is to get the same kind of file.
_EMBED_BYTES = 1536 * 1024 * 1024

# These are written in another way than as bytes in a message, or are not held at all.
_AS_THEY_ARE = (ir.ExternalTensor, ir.StringTensor, ir.serde.TensorProtoTensor)


def without_values(model: ir.Model) -> onnx.ModelProto:
    """The program's protobuf without the payloads of its large initializers."""
    with _left_out(model):
        return ir.to_proto(model)


@contextmanager
def _left_out(model: ir.Model) -> Iterator[dict[str, ir.TensorProtocol]]:
    """Have something stand for the large initializers while the block runs; yields them by name."""
    taken: list[tuple[ir.Value, ir.TensorProtocol]] = []
    try:
        for value in model.graph.initializers.values():
            tensor = value.const_value
            if tensor is not None and tensor.nbytes > _LARGE and not isinstance(tensor, _AS_THEY_ARE):
                taken.append((value, tensor))
                value.const_value = _stand_in(tensor)
        yield {str(value.name): tensor for value, tensor in taken}
    finally:
        for value, tensor in taken:
            value.const_value = tensor


def _stand_in(tensor: ir.TensorProtocol) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        "left-out",
        0,
        tensor.nbytes,
        tensor.dtype,
        shape=ir.Shape(tensor.shape.numpy()),
        name=tensor.name or "",
        doc_string=tensor.doc_string,
        metadata_props=dict(tensor.metadata_props),
    )


def save_program(program: Any, path: Path, verify_bytes: bool) -> Weights | None:
    """Save beside the target and rename, the weights in a file of their own if they do not fit into one.

    Parameters
    ----------
    program : torch.onnx.ONNXProgram
    path : Path
        The file to write.
    verify_bytes : bool
        Whether to prove, before it takes its place, that it stores the program's values.

    Returns
    -------
    Weights or None
        What was proved to be stored.

    Raises
    ------
    TaggerError
        If that cannot be proved.
    """
    before = _initializers(program.model) if verify_bytes else None
    size = sum(v.const_value.nbytes for v in program.model.graph.initializers.values() if v.const_value is not None)
    with scratch_folder(path) as folder:
        if size > _EMBED_BYTES:
            program.save(folder / path.name, external_data=True)
        else:
            _write(program.model, folder / path.name)
        if before is not None:
            _initializers(ir.load(folder / path.name)).insist_on(before, path)
        # The model last: it must never stand there without its weights.
        for made in sorted(folder.iterdir(), key=lambda made: made.name == path.name):
            with made.open("rb+") as stream:
                os.fsync(stream.fileno())
            made.replace(path.parent / made.name)
    return before


def _write(model: ir.Model, path: Path) -> None:
    """Write what `onnx_ir.save` would write, each value from where it lies."""
    with _left_out(model) as values:
        proto = ir.to_proto(model)
    for tensor in proto.graph.initializer:
        if tensor.name in values:
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = b"left out"
    source = filled(proto.SerializeToString(), {name: _payload(tensor) for name, tensor in values.items()})
    with path.open("xb") as stream:
        output = Output(stream.fileno())
        output.copy(source, 0, source.size)
        output.flush()


def _payload(tensor: ir.TensorProtocol) -> memoryview:
    """A tensor's values as ONNX stores them, without a copy where they lie like that."""
    if sys.byteorder == "little":
        values = np.ascontiguousarray(tensor.numpy())
        # Numbers of less than a byte are packed.
        if values.nbytes == tensor.nbytes:
            return memoryview(values.reshape(-1).view(np.uint8).data)
    return memoryview(tensor.tobytes())


def _initializers(model: ir.Model) -> Weights:
    """Digest the initializers of torch's program, or of what was saved of it: names and values."""
    stored = {name: v.const_value for name, v in model.graph.initializers.items() if v.const_value is not None}
    return weights_of_values((str(name), value.tobytes()) for name, value in stored.items())
