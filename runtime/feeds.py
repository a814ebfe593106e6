"""What a file is run on: the arrays of an ``.npz`` file, or random values as its inputs ask for them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.nearby import advice_on_missing

Array = npt.NDArray[Any]

# Sizes that open dimensions are tried with: the first that both files run with is taken.
_SIZES = (2, 8, 32, 64, 224)

# More values than this are not made up for one input.
_MOST_VALUES = 1 << 28
_SEED = 0


class Interface(Protocol):
    """What feeds need to know of a file: where it lies, its inputs, and the sizes that its weights ask for."""

    path: Path
    inputs: dict[str, onnx.TypeProto.Tensor]
    widths: dict[tuple[str, int], int]


def given_feeds(path: Path, inputs: Iterable[str]) -> dict[str, Array]:
    """The arrays of an ``.npz`` file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, BadZipFile, zlib.error) as error:
        advice = advice_on_missing(path) if isinstance(error, FileNotFoundError) else ""
        raise TaggerError(
            f"{path}: cannot be read as an .npz file of arrays: {first_sentence(error)}; {advice or 'see numpy.savez'}"
        ) from error
    missing = sorted(set(inputs) - found.keys())
    if missing:
        raise TaggerError(f"{path}: has no array for the input {missing[0]!r}; add it under this name")
    return found


def random_feeds(
    before: Interface, after: Interface, *, sizes: Sequence[int] = _SIZES, seed: int = _SEED
) -> Iterable[dict[str, Array]]:
    """Inputs to try, in turn: open dimensions of several sizes, integers of 0 and 1, of 1 alone, of 0 alone.

    Any table of embeddings has an entry 0, and a mask of nothing but 0 leaves nothing to compute with.

    Parameters
    ----------
    before, after : Interface
        Two files that are to take the same values.
    sizes : sequence of int
        What open dimensions are tried with.
    seed : int
    """
    shapes = {name: _shape(kind, after.inputs.get(name)) for name, kind in before.inputs.items()}
    for (name, axis), size in before.widths.items():
        if name in shapes and -len(shapes[name]) <= axis < len(shapes[name]):
            shapes[name][axis] = shapes[name][axis] or size
    tried = sizes if any(None in shape for shape in shapes.values()) else sizes[:1]
    counts = any(numpy_type(before.path, name, kind).kind != "f" for name, kind in before.inputs.items())
    for size in tried:
        for low, high in ((0, 2), (1, 2), (0, 1))[: 3 if counts else 1]:
            random = np.random.default_rng(seed)
            yield {
                name: _array(before.path, name, kind, [d or size for d in shapes[name]], random, low, high)
                for name, kind in before.inputs.items()
            }


def widths_of(graph: onnx.GraphProto) -> dict[tuple[str, int], int]:
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
    dtype = numpy_type(path, name, kind)
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


def numpy_type(path: Path, name: str, kind: onnx.TypeProto.Tensor) -> np.dtype[Any]:
    """The numpy type of an input.

    Raises
    ------
    TaggerError
        If it is no tensor of numbers.
    """
    try:
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    except KeyError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise TaggerError(f"{path}: the input {name!r} is no tensor of numbers; it cannot be verified")
    return dtype
