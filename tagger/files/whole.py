"""Models that a splice cannot express, with another topology or IR version: read and written whole, by protobuf."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files.external import insist_on_no_data_file, locations
from onnx_tagger.files.proof import Weights, weights_of_model
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.files.wire import open_file


def read_whole(path: Path) -> onnx.ModelProto:
    """Read all of a model, its external data too.

    Raises
    ------
    TaggerError
        If onnx cannot load it.
    """
    with open_file(path):  # what is no readable file is said there
        pass
    try:
        model: onnx.ModelProto = onnx.load(path, format="protobuf")
    except (onnx.checker.ValidationError, DecodeError, OSError, ValueError) as error:
        raise FileFormatError(f"{path}: onnx cannot load it with its weights ({error}); repair it first") from error
    return model


def load_whole(model: Path, target: Path) -> onnx.ModelProto:
    """Read all of a model that is to be written to a target.

    Raises
    ------
    TaggerError
        If protobuf cannot parse it, the target is its data file, or it has external data and the target lies elsewhere.
    """
    whole = parse_whole(model.read_bytes(), model)
    insist_on_no_data_file(locations(whole), model, target)
    elsewhere = model.resolve().parent != target.resolve().parent
    if elsewhere and next(locations(whole), None) is not None:
        raise TaggerError(
            f"{target}: a graph that a pass may change stays beside its external data; write into the input's folder"
        )
    return whole


def parse_whole(data: bytes, path: Path | str) -> onnx.ModelProto:
    """All of a model in memory; `path` is what errors call it.

    Raises
    ------
    FileFormatError
        If protobuf cannot parse it.
    """
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except (DecodeError, ValueError) as error:
        raise FileFormatError(f"{path}: protobuf cannot parse it as a whole ({error}); export it again") from error
    return model


def write_whole(
    whole: onnx.ModelProto, ir_version: int | None, source: Path, target: Path, verify_bytes: bool
) -> Weights | None:
    """Write a model that is in memory, and prove what it stores if that is asked for.

    Raises
    ------
    TaggerError
        If protobuf or the system cannot write it, or it stores other tensors than its source.
    """
    whole.ir_version = whole.ir_version if ir_version is None else ir_version
    try:
        data = whole.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise TaggerError(f"{target}: protobuf cannot write it as a whole ({error}); keep weights apart") from error
    proved = None
    if verify_bytes:
        proved = weights_of_model(parse_whole(source.read_bytes(), source))
        weights_of_model(parse_whole(data, target)).insist_on(proved, target)
    replace_file(target, data)
    return proved
