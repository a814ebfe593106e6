"""Sketches of tensors: by them a weight is known again after it was rounded, rescaled, blocked or folded.

Digests, which need the very values, are `digest`'s. A sketch holds one number for each of a weight's first output
channels, and of the numbers only their ranks: the mean of the channel's values divided by their root mean square,
without its sign. Scaling a channel (a quantiser's scale, a folded BatchNorm) does not change that number, rounding
hardly does, and neither the order of the values in a channel nor zeros added to every channel change the ranks. Ranks
of unrelated weights agree by chance with a known probability, whatever the weights are (Spearman, 1904).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]

# Channels that a sketch is of: fewer leave too much to chance, and more would only take room.
LEAST, MOST = 8, 48

# Of fewer different numbers there is no order to speak of, and one that rises or falls throughout, as in a table of
# frequencies, is that of many models.
_DIFFERENT = 0.75
_TREND = 0.8

# No agreement counts for more: beyond, other reasons than chance are likelier.
_MOST_BITS = 60.0


def sketch_of(values: Array) -> str:
    """The sketch of a parameter, whose first dimension is taken for its output channels.

    Parameters
    ----------
    values : numpy.ndarray
        As PyTorch holds them. Of one dimension, the values themselves are ordered.

    Returns
    -------
    str
        Two hexadecimal digits for the rank of each channel, of at most 48; empty if they say nothing.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    >>> sketch_of(weight) == sketch_of(weight * 3) == sketch_of(np.round(weight * 40)) != sketch_of(weight[::-1])
    True
    """
    return sketch_in(channel_numbers(values)) if values.dtype.kind == "f" and values.ndim else ""


def sketch_in(numbers: Numbers) -> str:
    """The sketch of what `channel_numbers` gives."""
    ranks = ranks_of(numbers)
    return "" if ranks is None else bytes(ranks.astype(np.uint8)).hex()


def channel_numbers(values: Array) -> Numbers:
    """One number for each of the first rows, which no scale of a row changes; rows of zeros at the end are padding."""
    first = values[:MOST].astype(np.float64)
    rows = first.reshape(first.shape[0], -1)
    if rows.shape[1] < 2:
        return rows[:, 0] if rows.shape[1] else np.zeros(rows.shape[0])
    filled = np.flatnonzero(rows.any(axis=1))
    rows = rows[: filled[-1] + 1 if filled.size else 0]
    with np.errstate(all="ignore"):
        numbers: Numbers = np.abs(rows.mean(axis=1)) / np.sqrt(np.square(rows).mean(axis=1))
    return numbers


def numbers_of_columns(blocks: Iterable[Array]) -> Numbers:
    """The same for the first columns of a matrix that is read some rows at a time.

    Parameters
    ----------
    blocks : iterable of numpy.ndarray
        Its rows in order.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = np.random.default_rng(0).standard_normal((6, 9))
    >>> np.allclose(numbers_of_columns([matrix[:4], matrix[4:]]), channel_numbers(matrix.T))
    True
    """
    count, totals = 0, np.zeros((3, 1))
    for block in blocks:
        first = block[:, :MOST].astype(np.float64)
        with np.errstate(all="ignore"):
            totals = totals + np.stack([first.sum(axis=0), np.square(first).sum(axis=0), first.any(axis=0)])
        count += len(first)
    used = np.flatnonzero(totals[2])
    sums, squares, _ = totals[:, : used[-1] + 1 if used.size else 0]
    with np.errstate(all="ignore"):
        numbers: Numbers = np.abs(sums / count) / np.sqrt(squares / count)
    return numbers


def ranks_of(numbers: Numbers) -> Numbers | None:
    """The ranks of some numbers; None if there are too few of them or they say nothing."""
    if numbers.size < LEAST or not np.isfinite(numbers).all():
        return None
    if np.unique(numbers).size < _DIFFERENT * numbers.size:
        return None
    ranks = _ranks(numbers)
    return None if abs(_correlation(ranks, np.arange(float(ranks.size)))) > _TREND else ranks


def ranks_in(sketch: str) -> Numbers:
    """The ranks that a sketch holds."""
    return np.frombuffer(bytes.fromhex(sketch), np.uint8).astype(np.float64)


def agreements(known: Sequence[Numbers], found: Numbers) -> Numbers:
    """How many bits speak against chance, for each of some sketches, if it agrees with the numbers of a stored tensor.

    Parameters
    ----------
    known : sequence of numpy.ndarray
        Ranks, of equal length each.
    found : numpy.ndarray
        What `channel_numbers` gives. If it is longer or shorter than the ranks, what both have in front is compared.
    """
    size = min(known[0].size, found.size)
    one = ranks_of(found[:size])
    if one is None or size < LEAST:
        return np.zeros(len(known))
    rows = np.stack(known)[:, :size]
    if size < known[0].size:
        rows = np.argsort(np.argsort(rows, axis=1), axis=1).astype(np.float64)
    middle = (size - 1) / 2
    spread = size * (size * size - 1) / 12
    alike = np.clip((rows - middle) @ (one - middle) / spread, 0.0, 1.0 - 1e-12)
    bits = -(size - 2) / 2 * np.log2(1 - alike * alike)
    # No order is rarer than one of all there are.
    most: Numbers = np.minimum(bits, min(math.lgamma(size + 1) / math.log(2), _MOST_BITS))
    return most


def _ranks(numbers: Numbers) -> Numbers:
    return np.argsort(np.argsort(numbers, kind="stable"), kind="stable").astype(np.float64)


def _correlation(one: Numbers, other: Numbers) -> float:
    return float(np.corrcoef(one, other)[0, 1])
