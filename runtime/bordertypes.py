"""The types of inner tensors as onnxruntime knows them, of files that do not state them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import helper

from onnx_tagger.errors import require
from onnx_tagger.files.onnxfile import Skeleton
from onnx_tagger.runtime.sessions import Runner

_TYPES = {
    "float": "FLOAT",
    **{name: name.upper() for name in ("double", "float16", "bfloat16", "bool", "string")},
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (4, 8, 16, 32, 64)},
}


def types_of(path: Path, skeleton: Skeleton, names: Sequence[str]) -> dict[str, onnx.ValueInfoProto]:
    """Type and shape of tensors of the main graph; those that are no tensors of a known type are left out.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If onnxruntime does not load the file.
    """
    require("onnxruntime", "ort", f"the type of {names[0]!r}, which the file does not state,")
    runner = Runner(path, skeleton, list(names))
    found = {}
    for value in runner.session.get_outputs():
        kind = _TYPES.get(value.type.removeprefix("tensor(").removesuffix(")"))
        if value.name in names and kind is not None and value.type.startswith("tensor("):
            shape = [size if isinstance(size, (int, str)) else None for size in value.shape or ()]
            number = onnx.TensorProto.DataType.Value(kind)
            found[value.name] = helper.make_tensor_value_info(value.name, number, shape)
    return found
