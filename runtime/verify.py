"""Whether tensors of one name in two files hold the same values: both are run side by side in onnxruntime.

What is made of the answer is the pipeline's; here nothing is tagged and nothing written. A tool may give a name to
another tensor than the one that bore it; by the name alone that cannot be seen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import MAP, model_value
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.runtime.sessions import Runner, run_both

Array = npt.NDArray[Any]

# How far values may be apart, as a share of the tensor's own size (Euclidean norms). Chosen on 12 models of the zoo, of
# which docs/carry.md says more: onnxruntime's optimiser leaves values up to 8e-7 apart, float16 1.3e-2, dynamic
# quantisation 9e-2; where a tool put another value under a name, they were 0.17 (float32) and 0.65 (quantised) apart or
# more.
TOLERANCES = {"float32": 1e-3, "float16": 3e-2, "quantised": 0.3}

# What a kind of number rounds to nothing: a tensor of less is as good as zero.
_FLOORS = {"float32": 0.0, "float16": 2e-6, "quantised": 2e-6}

_QUANTISED = re.compile(r"[Qq]uantiz|Integer|NBits|^Q[A-Z]")
_HALVES = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}

# Masks hold the lowest number of their type, which another type has not got, and beside which all else is nothing.
_LARGEST = 1e4

# What a person reads of a list; the report holds all.
_SHOWN = 3

# An output of fewer different numbers may agree by accident.
_DIFFERENT = 4


@dataclass(frozen=True)
class Verification:
    """What running two files side by side showed.

    Attributes
    ----------
    original : Path
        The file that the other one was made of.
    agreed : tuple of str
        Tensors of the main graphs that have one name and the same values.
    differing : tuple of str
        Those whose values differ, in the order in which they are computed.
    distrusted : tuple of str
        Those of them that are no cut points: all, if the files' outputs agree. If not, the tool has changed what the
        model computes, and what is computed of a tensor that differs has to differ, too; then only the first ones.
    uncompared : tuple of str
        Those whose values cannot be compared: sequences, and floats beside the integers that they were quantised to.
    kind : str
        What tolerance was applied: ``float32``, ``float16`` or ``quantised``.
    inputs : str
        What both were run on: the file of arrays, or ``random``.
    seconds : float
    outputs_agree : bool or None
        Whether all outputs that both files have agree, also about their means, and at least one of them is no mask or
        constant; None if there is no such output.
    """

    original: Path
    agreed: tuple[str, ...]
    differing: tuple[str, ...]
    distrusted: tuple[str, ...]
    uncompared: tuple[str, ...]
    kind: str
    inputs: str
    seconds: float
    outputs_agree: bool | None = None

    __repr__ = brief_fields

    def as_dict(self) -> dict[str, object]:
        """The report's key `verified`."""
        return {
            "original": str(self.original),
            "inputs": self.inputs,
            "tensors": len(self.agreed) + len(self.differing),
            "agreed": len(self.agreed),
            "differing": list(self.differing),
            "distrusted": list(self.distrusted),
            "uncompared": list(self.uncompared),
            "kind": self.kind,
            "tolerance": TOLERANCES[self.kind],
            "outputs_agree": self.outputs_agree,
            "seconds": round(self.seconds, 3),
        }

    def sentence(self) -> str:
        """What a person has to know of tensors that differ."""
        count = len(self.agreed) + len(self.differing)
        shown = ", ".join(self.differing[:_SHOWN]) + (", ..." if len(self.differing) > _SHOWN else "")
        text = f"{len(self.differing)} of {count} tensors have other values than in {self.original}: {shown}"
        if len(self.distrusted) == len(self.differing):
            return f"{text}; their names were not used"
        return (
            f"{text}; its outputs differ, too, so the tool has changed what is computed, and only the names of the "
            f"first {len(self.distrusted)} were not used"
        )


def original_of(source: object, tree: HierarchyMap) -> Path:
    """The file that a map was made from: a tagged file itself, or the one beside a ``M.hierarchy.json``.

    Parameters
    ----------
    source : object
        What was given as the map.
    tree : HierarchyMap
        The map that it holds.

    Raises
    ------
    TaggerError
        If no such file is known, or the one beside the map was tagged from another map.
    """
    if source is None or isinstance(source, HierarchyMap):
        raise TaggerError("verifying needs the file that this one was made of: give it, tagged, as the map")
    path = Path(str(source))
    if path.suffix == ".onnx":
        return path
    stem = path.name.removesuffix(".gz").removesuffix(".json").removesuffix(".hierarchy")
    original = path.with_name(f"{stem}.onnx")
    if not original.is_file():
        raise TaggerError(f"{original}: not there, so {path} cannot be verified; give the tagged original as --map")
    digest = model_value(read_skeleton(original).model, MAP)
    if not digest or digest != tree.digest:
        raise TaggerError(f"{original}: was not tagged from {path}; give the file that was as --map")
    return original


def verify(original: Path, changed: Path, *, inputs: Path | None = None) -> Verification:
    """Run two files on the same inputs and compare the tensors of the same name in their main graphs.

    Parameters
    ----------
    original : Path
        A model.
    changed : Path
        What a tool made of it.
    inputs : Path, optional
        An ``.npz`` file with an array for each input; random values otherwise.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If either file cannot be run, or they have no tensor in common.
    """
    require("onnxruntime", "ort", "verifying")
    start = time.perf_counter()
    left, right = read_skeleton(original), read_skeleton(changed)
    names = _shared(left.model, right.model)
    if not names:
        raise TaggerError(f"{changed}: has no tensor in common with {original}; there is nothing to verify")
    before, after = Runner(original, left, names), Runner(changed, right, names)
    one, other = run_both(before, after, inputs)
    kind = kind_of_numbers(left.model, right.model)
    errors = {name: error_of(one[name], other[name], _FLOORS[kind]) for name in names}
    differing = [name for name, error in errors.items() if error is not None and error > TOLERANCES[kind]]
    return Verification(
        original,
        tuple(name for name, error in errors.items() if error is not None and error <= TOLERANCES[kind]),
        tuple(differing),
        tuple(_distrusted(right.model.graph, differing, errors)),
        tuple(name for name, error in errors.items() if error is None),
        kind,
        str(inputs) if inputs is not None else "random",
        time.perf_counter() - start,
        _outputs_agree(right.model.graph, one, other, TOLERANCES[kind]),
    )


def _outputs_agree(
    graph: onnx.GraphProto, one: Mapping[str, object], other: Mapping[str, object], tolerance: float
) -> bool | None:
    """Whether the outputs agree that say something; see `Verification`."""
    found = [_agrees(one[value.name], other[value.name], tolerance) for value in graph.output if value.name in one]
    told = [agrees for agrees in found if agrees is not None]
    return all(told) if told else None


def _agrees(one: object, other: object, tolerance: float) -> bool | None:
    """Whether two outputs agree about the mean of the first one; None if they say nothing.

    Probabilities of a small net are all nearly equal, and so are near to those of any other net of its size.
    """
    if not isinstance(one, np.ndarray) or one.dtype.kind != "f" or not np.isfinite(one).all():
        return None
    if np.unique(one).size < _DIFFERENT or not isinstance(other, np.ndarray):
        return None
    error = error_of(one - one.mean(), other - one.mean()) if one.shape == other.shape else None
    return error is not None and error <= tolerance


def _distrusted(graph: onnx.GraphProto, differing: Sequence[str], errors: Mapping[str, float | None]) -> Sequence[str]:
    """The tensors that differ on their own account, if the outputs differ, too; else all that differ.

    Of its own account differs what is computed from no nearest tensor of both files that differs.
    """
    wrong = set(differing)
    if not any(value.name in wrong for value in graph.output):
        return differing
    own, passed_on = set[str](), set[str]()
    stored = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        tainted = any(name in wrong if name in errors else name in passed_on for name in _reads(node) if name)
        for name in filter(None, node.output):
            if name not in errors:
                passed_on.update({name} if tainted else ())
            elif name in wrong and not tainted:
                own.add(name)
    return [name for name in differing if name in own or name in stored]


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, and those that its bodies do; what a body makes itself nobody else has."""
    stack = [node]
    while stack:
        each = stack.pop()
        yield from each.input
        for attribute in each.attribute:
            for graph in (attribute.g, *attribute.graphs):
                stack.extend(graph.node)
                yield from (value.name for value in graph.output)


def error_of(one: object, other: object, floor: float = 0.0) -> float | None:
    """How far two values are apart, as a share of the first one's size; None if they cannot be compared.

    Parameters
    ----------
    one, other : object
        What onnxruntime gives: arrays, or something else.
    floor : float
        Size that a number of the first one has at least.

    Examples
    --------
    >>> error_of(np.array([3.0, 4.0]), np.array([3.0, 3.0]))
    0.2
    """
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return None
    if one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return None
    # The same tensor, stored as integers: what they mean is said by scales elsewhere.
    if (one.dtype.kind == "f") != (other.dtype.kind == "f"):
        return None
    if one.size != other.size:
        return float("inf")
    a, b = _plain(one), _plain(other)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    apart = float(np.linalg.norm(np.nan_to_num(a - b)))
    size = max(float(np.linalg.norm(np.nan_to_num(a))), floor * a.size**0.5)
    if apart == 0:
        return 0.0
    return apart / size if size else float("inf")


def _plain(array: Array) -> Array:
    return np.clip(array.astype(np.float64).ravel(), -_LARGEST, _LARGEST)


def _shared(left: onnx.ModelProto, right: onnx.ModelProto) -> list[str]:
    """Tensors that a node of the one main graph makes and the other one has, too, in the order of the other."""
    made = {name for node in left.graph.node for name in node.output if name}
    stored = [tensor.name for tensor in right.graph.initializer]
    computed = [name for node in right.graph.node for name in node.output if name]
    return [name for name in dict.fromkeys([*stored, *computed]) if name in made]


def kind_of_numbers(left: onnx.ModelProto, right: onnx.ModelProto) -> str:
    """What a file computes in that the other does not: the tolerance goes by it."""
    if any(is_quantising(op.node.op_type) for model in (left, right) for op in walk(model).ops):
        return "quantised"
    return "float16" if _is_half(left) or _is_half(right) else "float32"


def is_quantising(op_type: str) -> bool:
    """Whether an operator computes in small integers, or goes there or back, by its name.

    Examples
    --------
    >>> [name for name in ("Conv", "QLinearConv", "MatMulNBits", "DequantizeLinear") if not is_quantising(name)]
    ['Conv']
    """
    return _QUANTISED.search(op_type) is not None


def _is_half(model: onnx.ModelProto) -> bool:
    if any(tensor.data_type in _HALVES for tensor in model.graph.initializer):
        return True
    casts = (op.node for op in walk(model).ops if op.node.op_type == "Cast")
    return any(attribute.name == "to" and attribute.i in _HALVES for node in casts for attribute in node.attribute)
