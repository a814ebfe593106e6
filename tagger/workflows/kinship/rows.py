"""A stored weight read a few rows at a time, and what comparing it with a map takes: digests, a sample, sketches.

However large a weight is, one block of it is held. Which weights a file has is for `stored`, what one is to a map's for
`weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_tagger.hierarchy.digest import added, digests_of_blocks, stored_digest, value_digests
from onnx_tagger.hierarchy.sketch import LEAST, MOST, Numbers, channel_numbers, numbers_of_columns

Array = npt.NDArray[Any]

# Blocks of channels in onnxruntime's NCHWc layout, by processor.
BLOCKS = (8, 16)

# Of fewer different values a tensor is a mask or a constant, which many models have; so many are looked at.
_DIFFERENT = 16
_SAMPLE = 512


class Rows:
    """The values of a weight, read in blocks of rows as often as they are asked for; of these the first is kept.

    Parameters
    ----------
    blocks : callable
        Starts to read, and yields rows of the first dimension that is longer than one, in order.
    first : numpy.ndarray
        The first block.
    shape : tuple of int
        Of all of them, without dimensions of one before the rows.

    Examples
    --------
    >>> values = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    >>> rows = Rows(lambda: iter([values[:12], values[12:]]), values[:12], values.shape)
    >>> rows.digest == stored_digest(values), rows.tell
    (True, True)
    """

    def __init__(self, blocks: Callable[[], Iterator[Array]], first: Array, shape: tuple[int, ...]) -> None:
        self._blocks, self.first, self.shape = blocks, first, shape

    def __iter__(self) -> Iterator[Array]:
        """The blocks of rows."""
        return iter((self.first,)) if self._is_one else self._blocks()

    @property
    def _is_one(self) -> bool:
        return self.first.shape == self.shape

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def tell(self) -> bool:
        """Whether values are those of a weight and not of a constant, a mask or a table that rises or falls throughout.

        The first block stands for all of them.
        """
        flat = self.first.reshape(-1)
        flat = flat if flat.dtype.kind == "f" else flat.astype(np.float32)
        some = flat[:: max(1, flat.size // _SAMPLE)][:_SAMPLE]
        with np.errstate(invalid="ignore"):
            steps = np.diff(some)
            if (steps >= 0).all() or (steps <= 0).all():
                return False
        return np.unique(some).size >= min(_DIFFERENT, 3 * some.size // 4)

    @cached_property
    def digest(self) -> str:
        """What `stored_digest` gives of all the values."""
        return added(stored_digest(block) for block in self)

    @cached_property
    def digests(self) -> tuple[str, str]:
        """What `value_digests` gives of all the values."""
        return value_digests(self.first) if self._is_one else digests_of_blocks(self)

    @cached_property
    def filled(self) -> float:
        """The share of values that are not zero; one value counts at least."""
        return max(1, sum(int(np.count_nonzero(block)) for block in self)) / self.size

    @cached_property
    def orders(self) -> tuple[tuple[int, Numbers], ...]:
        """The ways in which output channels may lie, each by their count and their numbers.

        They are the first dimension, that of a matrix's columns, and onnxruntime's blocks of channels. Of fewer numbers
        than there are channels, the others are padding.
        """
        return tuple(
            (channels if numbers.size == min(channels, MOST) else numbers.size, numbers)
            for channels, numbers in self._orders()
        )

    def _orders(self) -> Iterator[tuple[int, Numbers]]:
        channels = self.shape[0] if self.shape else 1
        head = self._head() if channels >= LEAST else self.first
        if channels >= LEAST:
            yield channels, channel_numbers(head)
        if len(self.shape) == 2 and self.shape[1] >= LEAST:
            yield self.shape[1], numbers_of_columns(self)
        if len(self.shape) == 4:
            for block in BLOCKS:
                if channels % block == 0:
                    groups = head.reshape(len(head) // block, -1, block)
                    yield channels, channel_numbers(groups.transpose(0, 2, 1).reshape(-1, groups.shape[1]))

    def _head(self) -> Array:
        """The first rows, as many as a sketch is of."""
        parts: list[Array] = []
        for block in self:
            parts.append(block[: MOST - sum(map(len, parts))])
            if sum(map(len, parts)) == MOST:
                break
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
