"""How far a tensor is from the one that it should be: the metrics, and bringing both to one layout.

How far it may be is decided by workflows, which know how a file computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.comparison.metrics import METRICS, Metric

Values = npt.NDArray[Any]

# Masks hold the lowest number of their type, which another type has not got, and beside which all else is nothing.
LARGEST = 1e4

# Above this rank, the orders in which axes can be swapped are not all tried.
_MOST_AXES = 5


def distance(wanted: Values, found: Values, metric: Metric = "sqnr") -> float:
    """How far a tensor is from the wanted one, of the same shape; infinite where only one of them is finite.

    Parameters
    ----------
    wanted, found : numpy.ndarray
    metric : "sqnr", "max", "cosine" or "ulp"
        ``sqnr``: the root of the noise's power as a share of the signal's; 1e-5 is a ratio of 100 dB. ``max``: the
        largest difference as a share of the largest number. ``cosine``: 1 less the cosine of the angle. ``ulp``: the
        largest difference in units in the last place of the wanted type, of a number or of the tensor's root mean
        square, whichever is larger.

    Examples
    --------
    >>> wanted, found = np.array([3.0, 4.0]), np.array([3.0, 3.0])
    >>> distance(wanted, found), distance(wanted, found, "max")
    (0.2, 0.25)
    """
    if metric == "sqnr" and wanted.dtype == found.dtype == np.float32 and wanted.size == found.size:
        quick = _quick(wanted.ravel(), found.ravel())
        if quick is not None:
            return quick
    a, b = _plain(wanted), _plain(found)
    if a.size != b.size or not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    return 0.0 if np.array_equal(a, b) else _METRICS[metric](a, b, wanted.dtype)


def _quick(a: Values, b: Values) -> float | None:
    """The same without copies, where nothing is so large that it has to be cut off; None where something may be."""
    with np.errstate(all="ignore"):
        size, other = float(a @ a), float(b @ b)
        if not (0 < size < LARGEST**2 and other < LARGEST**2):
            return None
        apart = a - b
        return float(np.sqrt(float(apart @ apart) / size))


def _plain(array: Values) -> npt.NDArray[np.float64]:
    return np.clip(np.asarray(array).astype(np.float64).ravel(), -LARGEST, LARGEST)


def _sqnr(a: Values, b: Values, _: np.dtype[Any]) -> float:
    size = float(np.linalg.norm(a))
    return float(np.linalg.norm(a - b)) / size if size else float("inf")


def _largest(a: Values, b: Values, _: np.dtype[Any]) -> float:
    size = float(np.abs(a).max())
    return float(np.abs(a - b).max()) / size if size else float("inf")


def _cosine(a: Values, b: Values, _: np.dtype[Any]) -> float:
    sizes = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return max(0.0, 1.0 - float(a @ b) / sizes) if sizes else 1.0


def _ulp(a: Values, b: Values, dtype: np.dtype[Any]) -> float:
    rms = float(np.linalg.norm(a)) / a.size**0.5
    size = np.maximum(np.abs(a), rms)
    kind = dtype if dtype.kind == "f" else np.dtype(np.float32)
    return float((np.abs(a - b) / np.spacing(size.astype(kind)).astype(np.float64)).max())


_METRICS: dict[Metric, Callable[[Values, Values, np.dtype[Any]], float]] = {
    "sqnr": _sqnr,
    "max": _largest,
    "cosine": _cosine,
    "ulp": _ulp,
}


def check_metric(name: str) -> Metric:
    """The metric of a name.

    Raises
    ------
    TaggerError
        If there is none.
    """
    for metric in METRICS:
        if metric == name:
            return metric
    raise TaggerError(f"no metric is named {name!r}: choose from {', '.join(METRICS)}")


def orders(wanted: tuple[int, ...], found: tuple[int, ...]) -> list[tuple[int, ...] | None]:
    """The ways in which a tensor of one shape may lie in one of another, the likeliest first.

    Parameters
    ----------
    wanted, found : tuple of int
        Shapes.

    Returns
    -------
    list
        None for the same order of numbers, under whatever shape; else the order of the wanted one's axes. Empty if they
        cannot hold the same numbers.

    Examples
    --------
    >>> orders((1, 3, 8, 4), (1, 8, 4, 3)), orders((2, 3, 4), (6, 4)), orders((2,), (3,))
    ([None, (0, 2, 3, 1)], [None], [])
    """
    if int(np.prod(wanted, dtype=np.int64)) != int(np.prod(found, dtype=np.int64)):
        return []
    ways: list[tuple[int, ...] | None] = [None]
    # Axes of one entry say nothing of the order.
    slim = [axis for axis, size in enumerate(wanted) if size != 1]
    target = tuple(size for size in found if size != 1)
    if wanted == found or not 2 <= len(slim) <= _MOST_AXES or sorted(wanted[a] for a in slim) != sorted(target):
        return ways
    thin = tuple(axis for axis, size in enumerate(wanted) if size == 1)
    for order in itertools.permutations(slim):
        if tuple(wanted[axis] for axis in order) == target and list(order) != sorted(order):
            ways.append(_with_thin(order, thin, found))
    return ways


def _with_thin(order: tuple[int, ...], thin: tuple[int, ...], found: tuple[int, ...]) -> tuple[int, ...]:
    """An order of all axes, those of one entry where the other shape has some."""
    left, rest = list(order), list(thin)
    whole = [rest.pop(0) if size == 1 and rest else left.pop(0) for size in found if size != 1 or rest]
    return (*whole, *left, *rest)


def laid_out(wanted: Values, order: tuple[int, ...] | None, shape: tuple[int, ...]) -> Values:
    """The wanted tensor in the layout of another one."""
    swapped: Values = wanted if order is None else np.transpose(wanted, order)
    return swapped.reshape(shape)
