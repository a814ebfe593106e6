"""How far a tensor may be off, by how the nodes compute that lead to it.

Rounding to integers is no error of the file: how much noise it makes is estimated from the integers themselves for
pairing tensors, and measured for judging them (`rounding`). A tensor may be off by a few times as much. A wrong scale
changes what integers stand for, not how many steps they take, so it is not hidden by this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import onnx

from onnx_tagger.measures.comparison.distances import Values
from onnx_tagger.measures.comparison.metrics import Metric
from onnx_tagger.model.graph import operator
from onnx_tagger.workflows.comparison.borders import Borders
from onnx_tagger.workflows.comparison.pairing import Scale

# In float32, by metric: what is asked for if nothing is.
DEFAULTS: dict[Metric, float] = {"sqnr": 1e-5, "max": 1e-4, "cosine": 1e-8, "ulp": 1024.0}

# How many times as far as in float32 the coarser types may be off.
_COARSER = {"float64": 1.0, "float32": 1.0, "float16": 500.0, "bfloat16": 4000.0}
# Steps are counted in those of the reference, which are float32's where a file was made coarser.
_COARSER_ULP = {"float64": 1.0, "float32": 1.0, "float16": 2.0**13, "bfloat16": 2.0**16}

# How many times the noise of rounding a tensor may be off: with eight numbers that are free, which is what the smallest
# layers have, one ratio of two samples of one noise in ten thousand is larger (Fisher's F, its root). And how far at
# least as long as only the integers are known.
_TIMES, _LEAST = 4.3, 2e-2

# The noise of rounding to whole numbers.
_STEP = 1 / sqrt(12)

_KINDS: dict[int, str] = {onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}
_SMALL = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT4, onnx.TensorProto.UINT4)
_QUANTISERS = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})


@dataclass
class Tolerances:
    """How far each tensor may be off.

    Parameters
    ----------
    metric : Metric
    base : float
        In float32.
    borders : Borders
    types, ranks : mapping
        Stored tensor to its ONNX type and its number of axes.
    noise : dict
        Integer tensor to the noise of its rounding, as a share of its numbers.
    measured : dict
        Point to the noise of rounding that arrives there, as a share of it, where that was measured.
    jumps : dict
        Point to the most that it was off by with each integer in front of it a step off, where that was measured.
    """

    metric: Metric
    base: float
    borders: Borders
    types: Mapping[str, int]
    ranks: Mapping[str, int] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    jumps: dict[str, float] = field(default_factory=dict)
    _bits: dict[str, int] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)
    _rounded: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def settle(self, points: Iterable[str], dtypes: Mapping[str, np.dtype[Any]]) -> None:
        """Find out how the nodes compute that lead to each point."""
        names = list(points)
        self._kinds, self._rounded = {}, defaultdict(set)
        coarse: dict[str, str] = {name: _kind(dtypes.get(name)) for name in names}
        for place, served in self.borders.served(names).items():
            node = self.borders.nodes[place]
            kind = self._of_node(node, place, dtypes)
            integers = set(self._integers(node, place, dtypes))
            for point in served:
                coarse[point] = max(coarse[point], kind, key=_RANKS.index)
                self._rounded[point] |= integers
        self._kinds = coarse

    def _of_node(self, node: onnx.NodeProto, place: int, dtypes: Mapping[str, np.dtype[Any]]) -> str:
        kinds = [_KINDS.get(self.types.get(name, 0), "float32") for name in self.borders.reading.get(place, ())]
        kinds += [_kind(dtypes[name]) for name in self.borders.reading.get(place, ()) if name in dtypes]
        kinds += [_KINDS.get(a.i, "float32") for a in node.attribute if a.name == "to" and node.op_type == "Cast"]
        return max(kinds, key=_RANKS.index, default="float32")

    def _integers(self, node: onnx.NodeProto, place: int, dtypes: Mapping[str, np.dtype[Any]]) -> Iterable[str]:
        """The integer tensors that stand for rounded numbers, of those that a node reads or makes."""
        if node.op_type in _QUANTISERS or operator(node) in MADE:
            yield node.output[0]
        if node.op_type.endswith("NBits") or node.op_type == "GatherBlockQuantized":
            packed = node.input[1 if node.op_type.endswith("NBits") else 0]
            self._bits[packed] = next((a.i for a in node.attribute if a.name == "bits"), 4)
            yield packed
        for name in self.borders.reading.get(place, ()):
            # Of biases and the like, which have one axis, the rounding is small beside that of what they are added to.
            if self.types.get(name) in _SMALL and self.ranks.get(name, 0) > 1:
                yield name
            # What is given in place of an integer tensor is rounded as that was.
            if name in dtypes and dtypes[name].kind in "iu" and dtypes[name].itemsize == 1:
                yield name

    def rounded_before(self, point: str) -> frozenset[str]:
        """The tensors of integers that lead to a point."""
        return frozenset(self._rounded.get(point, ()))

    def rounded(self) -> list[str]:
        """The tensors that nodes round to integers, which have to be looked at."""
        made = self.borders.makers
        return sorted(
            {name for names in self._rounded.values() for name in names if name in made},
            key=self.borders.ranks.__getitem__,
        )

    def stored(self) -> list[str]:
        """The weights that are stored as integers."""
        made = self.borders.makers
        return sorted({name for names in self._rounded.values() for name in names if name not in made})

    def bits(self, name: str) -> int:
        """How many bits each number of a stored tensor has; fewer than 8 are packed into bytes."""
        return self._bits.get(name, 8)

    def look(self, name: str, found: Values, zero: Values | None = None, bits: int = 8) -> None:
        """Compute the noise of a tensor that was rounded to integers."""
        if found.dtype.kind not in "iu" and found.dtype.kind != "V":
            return
        self.noise[name] = noise_of(found, zero, bits)

    def kind(self, point: str) -> str:
        """What the nodes compute in that lead to a point: a type, or ``quantised``."""
        return "quantised" if self._rounded.get(point) else self._kinds.get(point, "float32")

    def allowed(self, point: str) -> float:
        """How far a point may be off, all that it is computed of being the reference's."""
        if point not in self.measured:
            return self.near(point)
        noise = max(_TIMES * self.measured[point], self.jumps.get(point, 0.0))
        return max(self.floor(point), _in_metric(noise, self.metric))

    def near(self, point: str) -> float:
        """How far a point may be off for it to agree with a value, before more has been measured than its integers."""
        rounded = self._rounded.get(point)
        if not rounded:
            return self.floor(point)
        noise = sqrt(sum(self.noise.get(name, 0.0) ** 2 for name in rounded))
        return max(self.floor(point), _in_metric(max(_LEAST, _TIMES * noise), self.metric))

    def floor(self, point: str) -> float:
        """How far a point may be off by the type in which it is computed."""
        factors = _COARSER_ULP if self.metric == "ulp" else _COARSER
        factor = factors[self._kinds.get(point, "float32")]
        floor = self.base * factor
        if self.metric == "cosine" and factor > 1:
            floor = max(self.base, (DEFAULTS["sqnr"] * factor) ** 2)
        return floor


_RANKS = list(_COARSER)


def _kind(dtype: np.dtype[Any] | None) -> str:
    name = dtype.name if dtype is not None else "float32"
    return name if name in _COARSER else "float32"


def _in_metric(noise: float, metric: Metric) -> float:
    """The noise in terms of a metric: the largest of many differences is several times their mean."""
    return {"sqnr": noise, "max": 2 * noise, "cosine": noise * noise, "ulp": noise * 2**24}[metric]


def noise_of(integers: Values, zero: Values | None = None, bits: int = 8) -> float:
    """The noise of rounding numbers to integers, as a share of the numbers' size.

    Parameters
    ----------
    integers : numpy.ndarray
    zero : numpy.ndarray, optional
        The zero point; if left out, the median of unsigned numbers, and the middle of the range for fewer than 8 bits,
        which are packed in bytes.
    bits : int

    Examples
    --------
    >>> round(noise_of(np.array([100, -100], dtype=np.int8)), 5)
    0.00289
    """
    if bits < 8:
        plain = np.concatenate([(integers >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)], axis=None)
        steps = plain.astype(np.float64) - (1 << (bits - 1))
    else:
        steps = integers.astype(np.float64)
        if zero is not None and zero.size == 1:
            steps -= float(zero.ravel()[0])
        elif integers.dtype.kind == "u" and integers.size:
            steps -= float(np.median(steps))
    size = float(np.sqrt(np.mean(steps * steps))) if steps.size else 0.0
    return _STEP / size if size else 0.0


def scales_of(nodes: Sequence[onnx.NodeProto], weight: Mapping[str, Values]) -> dict[str, Scale]:
    """How integer tensors of a graph stand for numbers, where scales are stored.

    Parameters
    ----------
    nodes : sequence of NodeProto
    weight : mapping
        Stored tensor to its values, of those that are scales and zero points.
    """
    found: dict[str, Scale] = {}
    for node in nodes:
        for name, scale, zero in _scaled(node):
            if scale in weight and name not in found:
                axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
                zeros = weight.get(zero, np.zeros(1, dtype=np.int8))
                found[name] = Scale(np.asarray(weight[scale], dtype=np.float32), zeros, axis)
    return found


def scale_names(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Names of the scales and zero points of a graph."""
    return {name for node in nodes for _, scale, zero in _scaled(node) for name in (scale, zero) if name}


# Operators on integers to the positions of the scale and the zero point of what they make.
MADE = {
    "QuantizeLinear": (1, 2),
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "com.microsoft::QLinearAdd": (6, 7),
    "com.microsoft::QLinearMul": (6, 7),
    "com.microsoft::QLinearSigmoid": (3, 4),
    "com.microsoft::QLinearLeakyRelu": (3, 4),
    "com.microsoft::QLinearSoftmax": (3, 4),
    "com.microsoft::QLinearAveragePool": (3, 4),
    "com.microsoft::QLinearGlobalAveragePool": (3, 4),
    "com.microsoft::QLinearConcat": (0, 1),
    "com.microsoft::QGemm": (7, 8),
}


def _scaled(node: onnx.NodeProto) -> Iterable[tuple[str, str, str]]:
    """Integer tensor, scale and zero point, of what a node makes or turns back into numbers."""
    inputs = list(node.input)
    at = MADE.get(operator(node))
    if at is not None and len(inputs) > at[0] and node.output:
        yield node.output[0], inputs[at[0]], inputs[at[1]] if len(inputs) > at[1] else ""
    if node.op_type == "DequantizeLinear" and len(inputs) > 1:
        yield inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else ""
