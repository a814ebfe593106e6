"""How much noise rounding to integers makes at each tensor: the file is run with its integers rounded otherwise.

What a number is off by after rounding is as good as random, and evenly spread over a step. So each integer is moved by
a whole step up or down at random, in a weight or where a run makes it, and what arrives at a tensor is, over the root
of 12, the noise that rounding makes there: however many roundings lie on the way, and whatever they pass through. It is
the model of Widrow and Kollár, *Quantization Noise* (2008), chapter 4, with the file itself in the place of a formula.

A step that is too coarse because a mask takes up the range is not counted as rounding: it loses all other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
import onnx

from onnx_tagger.measures.comparison.distances import LARGEST, Values
from onnx_tagger.model.graph import operator
from onnx_tagger.runtime.probing import Nudge
from onnx_tagger.workflows.comparison.tolerances import MADE

Steps = npt.NDArray[np.int8]

# The deviation of a whole step up or down, in those of a number that lies anywhere within a step.
AMPLIFIED = sqrt(12)

# Numbers beside a mask that span less than this part of the range are rounded too coarsely: two bits are of no use.
_SPANNED = 1 / 4

_FLOATS = (np.float16, np.float32)


@dataclass(frozen=True)
class Rounded:
    """How a node makes a tensor of integers.

    Attributes
    ----------
    tensor, scale, zero : str
        Names; `zero` may be empty.
    """

    tensor: str
    scale: str
    zero: str


def roundings(nodes: Sequence[onnx.NodeProto]) -> Iterator[Rounded]:
    """The tensors that nodes round to integers by one scale, which may be computed, too."""
    for node in nodes:
        if node.op_type == "DynamicQuantizeLinear" and len(node.output) > 2:
            yield Rounded(node.output[0], node.output[1], node.output[2])
        at = MADE.get(operator(node))
        if at is not None and len(node.input) > at[0]:
            yield Rounded(node.output[0], node.input[at[0]], node.input[at[1]] if len(node.input) > at[1] else "")


def steps_of(integers: Values, zero: int, random: np.random.Generator) -> Steps:
    """A step up or down at random for each number.

    What lies at an end of the range goes inwards, and not at all if the end stands for zero: a Relu cut it off there,
    which is exact.

    Parameters
    ----------
    integers : numpy.ndarray
        Of one byte.
    zero : int
    random : numpy.random.Generator

    Examples
    --------
    >>> steps_of(np.array([0, 0, 255], dtype=np.uint8), 0, np.random.default_rng(0)).tolist()
    [0, 0, -1]
    """
    ends = np.iinfo(integers.dtype)
    steps: Steps = (2 * random.integers(0, 2, integers.shape, dtype=np.int8) - 1).astype(np.int8)
    for end, inwards in ((ends.min, 1), (ends.max, -1)):
        steps[integers == end] = 0 if end == zero else inwards
    return steps


def spanned(integers: Values, zero: int, scale: float) -> tuple[float, bool]:
    """Which part of their range numbers span, masks apart, and whether there are any of those.

    Examples
    --------
    >>> spanned(np.array([-128, 127, 126], dtype=np.int8), 127, 1.3e36)
    (0.0, True)
    """
    ends = np.iinfo(integers.dtype)
    most = LARGEST / scale if np.isfinite(scale) and scale > 0 else 0.0
    numbers = integers[np.abs(integers.astype(np.float32) - zero) <= most]
    span = int(numbers.max()) - int(numbers.min()) if numbers.size else 0
    return span / (int(ends.max) - int(ends.min)), numbers.size < integers.size


def moved(integers: Values, steps: Steps) -> Values:
    """Integers, each so many steps further, within the range of their type."""
    ends = np.iinfo(integers.dtype)
    found: Values = np.clip(integers.astype(np.int16) + steps, ends.min, ends.max).astype(integers.dtype)
    return found


def stored_moved(integers: Values, bits: int, sign: int, random: np.random.Generator) -> Values:
    """A stored tensor with each number a step up or down at random; `sign` turns all directions around.

    Parameters
    ----------
    integers : numpy.ndarray
        Numbers of one byte; with fewer than 8 bits, so many as fit in a byte.
    bits : int
    sign : int
        1 or -1.
    random : numpy.random.Generator
    """
    if bits >= 8:
        kind = integers.dtype
        lowest, highest = _ends(kind)
        steps = sign * (2 * random.integers(0, 2, integers.shape, dtype=np.int8) - 1)
        found: Values = np.clip(integers.astype(np.int16) + steps, lowest, highest).astype(kind)
        return found
    mask, whole = (1 << bits) - 1, np.zeros(integers.shape, dtype=np.uint8)
    for shift in range(0, 8, bits):
        part = ((integers.view(np.uint8) >> shift) & mask).astype(np.int16)
        steps = sign * (2 * random.integers(0, 2, integers.shape, dtype=np.int8) - 1)
        whole |= (np.clip(part + steps, 0, mask) << shift).astype(np.uint8)
    return whole.view(integers.dtype)


def _ends(kind: np.dtype[np.generic]) -> tuple[int, int]:
    """The range of a type of integers, of 4 bits, too."""
    narrow = {"int4": (-8, 7), "uint4": (0, 15)}
    if kind.name in narrow:
        return narrow[kind.name]
    ends = np.iinfo(kind.name)
    return int(ends.min), int(ends.max)


@dataclass
class Roundings:
    """What was seen of the integers in one run, and the same moved for another one.

    Parameters
    ----------
    made : mapping
        Tensor to how it is made.

    Attributes
    ----------
    steps : dict
        Tensor to the steps by which it is moved.
    coarse : dict
        Tensor to the size of its steps, where a few numbers, such as those of a mask, take up the range of all.
    """

    made: Mapping[str, Rounded]

    def __post_init__(self) -> None:
        self.steps: dict[str, Steps] = {}
        self.coarse: dict[str, float] = {}
        self.kinds: dict[str, np.dtype[np.generic]] = {}
        self._random = np.random.default_rng(0)

    def look(self, name: str, found: Values, scale: Values | None, zero: Values | None) -> None:
        """Choose the steps of a tensor of integers."""
        if scale is None or scale.size != 1 or scale.dtype not in _FLOATS or found.dtype.kind not in "iu":
            return
        if found.dtype.itemsize > 1:
            return
        at, step = int(zero.ravel()[0]) if zero is not None and zero.size else 0, float(scale.ravel()[0])
        part, masked = spanned(found, at, step)
        if masked and part < _SPANNED:
            self.coarse[name] = step
        else:
            self.steps[name], self.kinds[name] = steps_of(found, at, self._random), scale.dtype

    def redrawn(self, seed: int) -> Roundings:
        """The same with the directions drawn anew."""
        other = Roundings(self.made)
        other.kinds = self.kinds
        random = np.random.default_rng(seed)
        for name, steps in self.steps.items():
            other.steps[name] = (steps * (2 * random.integers(0, 2, steps.shape, dtype=np.int8) - 1)).astype(np.int8)
        return other

    def nudges(self, sign: int) -> dict[str, Nudge]:
        """How the computed integers are moved."""
        return {
            name: Nudge((sign * steps).astype(self.kinds[name]), self.made[name].scale, self.made[name].zero)
            for name, steps in self.steps.items()
            if name in self.made
        }

    def given(self, sign: int, values: Mapping[str, Values]) -> dict[str, Values]:
        """The values that are given, with the integers among them moved."""
        return {
            name: moved(value, (sign * self.steps[name]).astype(np.int8)) if name in self.steps else value
            for name, value in values.items()
        }


def noise_of_rounding(before: float, after: Sequence[float]) -> float:
    """The noise of rounding, as a share of a tensor.

    Parameters
    ----------
    before : float
        How far the tensor is off.
    after : sequence of float
        How far with steps, and with the same steps the other way: what the two add to errors cancels out.

    Examples
    --------
    >>> round(noise_of_rounding(0.3, [0.5, 0.5]), 4)
    0.1155
    """
    added = sum(each * each for each in after) / len(after) - before * before if after else 0.0
    return sqrt(max(0.0, added)) / AMPLIFIED if np.isfinite(added) else 0.0
