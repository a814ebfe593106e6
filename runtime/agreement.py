"""Whether a file computes what its model does: its outputs in onnxruntime compared with those that are expected.

The model is run by the caller; two files are compared by `verify`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.model.graph import walk
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.sessions import opened
from onnx_tagger.runtime.verify import is_quantising

# How far a number may be off, as a share of itself or of the output's scale, whichever is larger. onnxruntime without
# optimisation stays within 1e-6 in float32 on the models of the zoo; a wrong operator is off by whole numbers.
TOLERANCES = {"float64": 1e-6, "float32": 1e-4, "float16": 3e-2, "bfloat16": 1e-1, "quantised": 1e-1}

# Numbers that are so many times the median, and at least so large, stand for something else: masks hold the lowest
# number of their type, or -1e4 and the like.
_OUTLYING, _LARGE = 1e4, 1e3


class NotComparedError(TaggerError):
    """A file that cannot be compared; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Agreement:
    """How far the outputs of a file are from the expected ones.

    Attributes
    ----------
    differences : dict
        Output to how far it is off, as a share of its scale; infinite if it cannot be the same tensor.
    tolerances : dict
        Output to how far it may be off.
    """

    differences: dict[str, float]
    tolerances: dict[str, float]

    @property
    def differing(self) -> list[str]:
        """The outputs that are further off than they may be."""
        return [name for name, off in self.differences.items() if off > self.tolerances[name]]

    @property
    def agrees(self) -> bool:
        """Whether all outputs are what was expected."""
        return not self.differing

    def as_dict(self) -> dict[str, object]:
        """The report's key `compared`: the difference and the tolerance are those of the worst output."""
        worst = max(self.differences, key=self._excess, default=None)
        off = self.differences[worst] if worst is not None else 0.0
        return {
            "outputs": len(self.differences),
            "largest_difference": off if np.isfinite(off) else None,
            "tolerance": self.tolerances[worst] if worst is not None else 0.0,
            "agrees": self.agrees,
        }

    def sentence(self, path: str | os.PathLike[str]) -> str:
        """What a person has to know of outputs that differ."""
        worst = max(self.differing, key=self._excess)
        off, most = self.differences[worst], self.tolerances[worst]
        how = f"is off by {off:.1e} of its scale (at most {most:g} is allowed)"
        if not np.isfinite(off):
            how = "has another shape, type or other infinite values"
        elif not most:
            how = f"holds other integers (off by up to {off:g})"
        more = f"; {len(self.differing)} of {len(self.differences)} outputs differ" if len(self.differing) > 1 else ""
        return (
            f"{path}: on the example inputs, the output {worst!r} {how} from what torch computes{more}; "
            "the file is kept, export by another strategy or change the model"
        )

    def _excess(self, name: str) -> float:
        off, most = self.differences[name], self.tolerances[name]
        return off / most if most else off * np.inf if off else 0.0


def agreement(path: str | os.PathLike[str], feeds: Mapping[str, Array], expected: Sequence[Array]) -> Agreement:
    """Run a file once and compare its outputs with the expected ones.

    Parameters
    ----------
    path : path
        An ONNX file; external data is found beside it.
    feeds : mapping
        Input name to values.
    expected : sequence of numpy.ndarray
        In the order of the file's outputs.

    Returns
    -------
    Agreement

    Raises
    ------
    NotComparedError
        If onnxruntime does not load or run the file, or its outputs are not comparable with the expected ones.
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "comparing")
    model = read_skeleton(path).model
    found = _outputs(Path(path), model, feeds)
    if len(found) != len(expected):
        raise NotComparedError(f"the file has {len(found)} outputs, the model returns {len(expected)} tensors")
    coarsest = _coarsest(model)
    differences, tolerances = {}, {}
    for (name, value), wanted in zip(found.items(), expected, strict=True):
        if not isinstance(value, np.ndarray) or wanted.dtype.kind not in "fiub":
            raise NotComparedError(f"the output {name!r} is no tensor of numbers that numpy has")
        tolerances[name] = tolerance(wanted.dtype, coarsest)
        differences[name] = difference(wanted, value)
    return Agreement(differences, tolerances)


def tolerance(dtype: np.dtype[Any], coarsest: str = "float64") -> float:
    """How far an output of a type may be off; integers and truth values not at all.

    Parameters
    ----------
    dtype : numpy.dtype
    coarsest : str
        The coarsest kind of number that the file computes in.
    """
    if dtype.kind != "f":
        return 0.0
    return max(TOLERANCES.get(dtype.name, TOLERANCES["float16"]), TOLERANCES[coarsest])


def difference(wanted: Array, found: Array) -> float:
    """How far a tensor is from the one that was wanted: the largest difference, as a share of the numbers' scale.

    The scale of a number is its own size or the largest in the tensor that is no mask, whichever is larger. NaN is
    equal to NaN. Of integers it is the largest difference itself.

    Examples
    --------
    >>> difference(np.array([1.0, -4.0]), np.array([1.0, -3.0]))
    0.25
    """
    if wanted.shape != found.shape or wanted.dtype.kind != found.dtype.kind:
        return float("inf")
    a, b = wanted.astype(np.float64), found.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if wanted.dtype.kind != "f":
        # Large integers are equal as floats though they differ.
        unequal = wanted != found
        return float(np.abs(a - b)[unequal].max(initial=1.0)) if unequal.any() else 0.0
    if same.all():
        return 0.0
    if not np.isfinite(a[~same]).all() or not np.isfinite(b[~same]).all():
        return float("inf")
    sizes = np.abs(a[np.isfinite(a)])
    median = float(np.quantile(sizes[sizes > 0], 0.5, method="lower")) if (sizes > 0).any() else 0.0
    scale = float(sizes[sizes <= max(median * _OUTLYING, _LARGE)].max(initial=0.0))
    off = np.abs(a - b)[~same]
    allowed = np.maximum(np.abs(a)[~same], scale)
    with np.errstate(divide="ignore"):
        return float((off / allowed).max())


def _outputs(path: Path, model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, object]:
    """What a file's outputs are on these inputs, as it stands."""
    try:
        session = opened(str(path))
    except Exception as error:
        raise NotComparedError(f"onnxruntime does not load the file ({first_sentence(error)})") from error
    names = [value.name for value in session.get_outputs()]
    known = {value.name for value in session.get_inputs()}
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    try:
        given = {name: _value(array, types[name]) for name, array in feeds.items() if name in known}
        values = session.run_with_ort_values(names, given)
        return {name: value.numpy() if value.is_tensor() else value for name, value in zip(names, values, strict=True)}
    except Exception as error:
        raise NotComparedError(f"onnxruntime does not run the file ({first_sentence(error)})") from error


def _value(array: Array, kind: int) -> object:
    """A value as onnxruntime takes it; bfloat16, which numpy lacks, by its bits."""
    import onnxruntime as ort

    if kind == onnx.TensorProto.BFLOAT16:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), kind)
    wanted = onnx.helper.tensor_dtype_to_np_dtype(kind)
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array.astype(wanted, copy=False)).reshape(array.shape))


def _coarsest(model: onnx.ModelProto) -> str:
    """The coarsest kind of number that a file computes in."""
    ops = [op.node for op in walk(model).ops]
    if any(is_quantising(node.op_type) for node in ops):
        return "quantised"
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    kinds.update(value.type.tensor_type.elem_type for value in model.graph.input)
    kinds.update(a.i for node in ops if node.op_type == "Cast" for a in node.attribute if a.name == "to")
    if onnx.TensorProto.BFLOAT16 in kinds:
        return "bfloat16"
    return "float16" if onnx.TensorProto.FLOAT16 in kinds else "float64"
