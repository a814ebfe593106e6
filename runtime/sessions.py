"""Running a file in onnxruntime as it stands, with inner tensors exposed, on inputs that are given or made up."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import contained
from onnx_tagger.files.onnxfile import Skeleton

Array = npt.NDArray[Any]

# Sizes that open dimensions are tried with: the first that both files run with is taken.
_SIZES = (2, 8, 32, 64, 224)

# More values than this are not made up for one input.
_MOST_VALUES = 1 << 28
_SEED = 0


class Runner:
    """One file in onnxruntime, as it stands, with some of its tensors exposed."""

    def __init__(self, path: Path, skeleton: Skeleton, names: list[str]) -> None:
        import onnxruntime as ort

        self.path, self.names = path, names
        graph = skeleton.model.graph
        stored = {tensor.name for tensor in graph.initializer}
        self.widths = _widths(graph)
        self.inputs = {value.name: value.type.tensor_type for value in graph.input if value.name not in stored}
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        for location in skeleton.external:
            contained(path.parent, location)
        if skeleton.external:
            folder = "session.model_external_initializers_file_folder_path"
            options.add_session_config_entry(folder, str(path.resolve().parent))
        stated = {value.name for value in graph.output}
        # Messages that follow each other are merged when they are read, so outputs can be added to the bytes.
        more = onnx.ModelProto()
        more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in stated)
        data = path.read_bytes() + more.SerializeToString()
        try:
            self.session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise TaggerError(
                f"{path}: onnxruntime does not load it: {_line(error)}; verify needs it to run"
            ) from error

    def run(self, feeds: Mapping[str, Array]) -> dict[str, object]:
        """The values of the exposed tensors."""
        try:
            fitting = {name: feeds[name].astype(_numpy(self.path, name, kind)) for name, kind in self.inputs.items()}
            return dict(zip(self.names, self.session.run(self.names, fitting), strict=True))
        except Exception as error:
            raise NotRunError(
                f"{self.path}: does not run on these inputs: {_line(error)}; give others with --inputs VALUES.npz"
            ) from error


class NotRunError(TaggerError):
    """A file did not run on some inputs; others may do."""


def run_both(before: Runner, after: Runner, inputs: Path | None) -> tuple[dict[str, object], dict[str, object]]:
    """The values of both on the same inputs."""
    unknown = sorted(after.inputs.keys() - before.inputs.keys())
    if unknown:
        raise TaggerError(
            f"{after.path}: has the input {unknown[0]!r}, which {before.path} has not; it cannot be verified"
        )
    if inputs is not None:
        feeds = _given(inputs, before.inputs)
        return before.run(feeds), after.run(feeds)
    failure: TaggerError | None = None
    for feeds in _random(before, after):
        try:
            return before.run(feeds), after.run(feeds)
        except NotRunError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _given(path: Path, inputs: Iterable[str]) -> dict[str, Array]:
    """The arrays of an ``.npz`` file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, BadZipFile, zlib.error) as error:
        raise TaggerError(
            f"{path}: cannot be read as an .npz file of arrays: {_line(error)}; see numpy.savez"
        ) from error
    missing = sorted(set(inputs) - found.keys())
    if missing:
        raise TaggerError(f"{path}: has no array for the input {missing[0]!r}; add it under this name")
    return found


def _random(before: Runner, after: Runner) -> Iterable[dict[str, Array]]:
    """Inputs to try, in turn: open dimensions of several sizes, integers of 0 and 1, of 1 alone, of 0 alone.

    Any table of embeddings has an entry 0, and a mask of nothing but 0 leaves nothing to compute with.
    """
    shapes = {name: _shape(kind, after.inputs.get(name)) for name, kind in before.inputs.items()}
    for (name, axis), size in before.widths.items():
        if name in shapes and -len(shapes[name]) <= axis < len(shapes[name]):
            shapes[name][axis] = shapes[name][axis] or size
    sizes = _SIZES if any(None in shape for shape in shapes.values()) else _SIZES[:1]
    counts = any(_numpy(before.path, name, kind).kind != "f" for name, kind in before.inputs.items())
    for size in sizes:
        for low, high in ((0, 2), (1, 2), (0, 1))[: 3 if counts else 1]:
            random = np.random.default_rng(_SEED)
            yield {
                name: _array(before.path, name, kind, [d or size for d in shapes[name]], random, low, high)
                for name, kind in before.inputs.items()
            }


def _widths(graph: onnx.GraphProto) -> dict[tuple[str, int], int]:
    """Sizes of (input, axis) that the weights of the nodes that read an input ask for."""
    stored = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    found: dict[tuple[str, int], int] = {}
    for node in graph.node:
        weight = stored.get(node.input[1], []) if len(node.input) > 1 else []
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "Conv" and len(weight) > 2:
            found[node.input[0], 1] = weight[1] * attributes.get("group", 1)
        elif node.op_type == "MatMul" and len(weight) == 2:
            found[node.input[0], -1] = weight[0]
        elif node.op_type == "Gemm" and len(weight) == 2:
            found[node.input[0], -1] = weight[1 if attributes.get("transB") else 0]
        elif node.op_type in ("LSTM", "GRU", "RNN") and len(weight) == 3:
            found[node.input[0], -1] = weight[2]
    return found


def _shape(kind: onnx.TypeProto.Tensor, other: onnx.TypeProto.Tensor | None) -> list[int | None]:
    """The sizes that either file states; None for those that both leave open."""
    dims = [d.dim_value or None for d in kind.shape.dim]
    more = [d.dim_value or None for d in other.shape.dim] if other is not None else dims
    return [a or b for a, b in zip(dims, more, strict=True)] if len(more) == len(dims) else dims


def _array(
    path: Path,
    name: str,
    kind: onnx.TypeProto.Tensor,
    shape: list[int],
    random: np.random.Generator,
    low: int,
    high: int,
) -> Array:
    dtype = _numpy(path, name, kind)
    if min(shape, default=0) < 0 or prod(shape) > _MOST_VALUES:
        raise TaggerError(
            f"{path}: no values can be made up for the input {name!r} of the shape {shape}; give --inputs"
        )
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    made = random.integers(low, high, shape)
    if made.ndim and made.shape[-1]:
        made[..., 0] = max(low, high - 1)
    return made.astype(dtype)


def _numpy(path: Path, name: str, kind: onnx.TypeProto.Tensor) -> np.dtype[Any]:
    try:
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    except KeyError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise TaggerError(f"{path}: the input {name!r} is no tensor of numbers; it cannot be verified")
    return dtype


def _line(error: Exception) -> str:
    """The first line of an error of others."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
