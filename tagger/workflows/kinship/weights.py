"""Stored weights compared with a map's: the same, rounded, a part, close, or unknown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from math import prod

from onnx_tagger.hierarchy.digest import LEAST_VALUES, without_zeros
from onnx_tagger.hierarchy.map import Parameter
from onnx_tagger.hierarchy.sketch import (
    MOST,
    Numbers,
    agreements,
    ranks_in,
    ranks_of,
    sketch_in,
)
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.kinship.rows import BLOCKS, Rows
from onnx_tagger.workflows.kinship.stored import StoredWeight, read

# How many weights tools store as one (query, key and value), or one as several.
JOINED = (2, 3)

# A weight whose agreement chance explains less often than once in 2**12 is taken for a copy.
_LEAST_BITS = 12.0

# Channels from which on a copy of a weight would agree beyond doubt.
_TELLING = 12


class Fit(Enum):
    """What a stored weight is to the map's."""

    SAME = "the same values"
    ROUNDED = "the same values, rounded"
    JOINED = "several of the map's weights in one"
    CLOSE = "rounded, folded or trained further"
    UNKNOWN = "none of the map's"
    MUTE = "says nothing"


# How many bits each is worth: of weights of a file's own model, one in 16 is found to be none of its map's, since
# tools compute some anew; what chance explains less often than once in a million may still be a table that two models
# share.
_WORTH = {Fit.SAME: 20.0, Fit.ROUNDED: 20.0, Fit.JOINED: 20.0, Fit.UNKNOWN: -4.0, Fit.MUTE: 0.0}


@dataclass(frozen=True, slots=True)
class Found:
    """A stored weight and what it is to the map's.

    Attributes
    ----------
    weight : StoredWeight
    fit : Fit
    bits : float
        What it is worth as evidence.
    names : tuple of str
        The parameters that it is made of.
    """

    weight: StoredWeight
    fit: Fit
    bits: float = 0.0
    names: tuple[str, ...] = ()


class KnownWeights:
    """The weights of a map, looked up by digests and by sketches.

    Parameters
    ----------
    parameters : sequence of Parameter
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = [each for each in parameters if prod(each.shape) >= LEAST_VALUES]
        self.sketched = any(each.sketch for each in self.parameters)

    @cached_property
    def _sums(self) -> list[dict[int, tuple[str, ...]]]:
        """By the digest of the values as stored, and of the rounded ones, each without zeros: names of parameters."""
        found: list[dict[int, tuple[str, ...]]] = [{}, {}]
        rows: dict[object, list[tuple[str, tuple[int, int]]]] = defaultdict(list)
        for each in self.parameters:
            size = prod(each.shape)
            sums = (without_zeros(each.digests[0], size), without_zeros(each.digests[1], size))
            for kind, total in enumerate(sums):
                found[kind].setdefault(total, (each.name,))
            # What is stored as one weight are those of modules beside each other.
            around, last = each.owner.rpartition(".")[0], each.name.rpartition(".")[2]
            rows[around, last, each.shape[1:]].append((each.name, sums))
        for row in rows.values():
            for count in JOINED:
                for start in range(len(row) - count + 1):
                    part = row[start : start + count]
                    for kind in (0, 1):
                        total = sum(sums[kind] for _, sums in part) % 2**64
                        found[kind].setdefault(total, tuple(name for name, _ in part))
        return found

    @cached_property
    def _sketches(self) -> dict[int, tuple[list[str], list[Numbers]]]:
        """By number of channels: names and ranks of parameters."""
        found: dict[int, tuple[list[str], list[Numbers]]] = {}
        for each in self.parameters:
            if each.sketch and len(each.sketch) == 2 * min(MOST, each.shape[0]):
                names, ranks = found.setdefault(each.shape[0], ([], []))
                names.append(each.name)
                ranks.append(ranks_in(each.sketch))
        return found

    def compare(self, weight: StoredWeight, values: Rows | None) -> Found:
        """Say what a stored weight is to the map's.

        Parameters
        ----------
        weight : StoredWeight
        values : Rows or None
            As `stored.read` gives them.
        """
        if values is None or not values.tell:
            return Found(weight, Fit.MUTE)
        if not weight.rounded and (found := self._by_digest(weight, values)) is not None:
            return found
        return self._by_sketch(weight, values)

    def split(self, unknown: Sequence[tuple[Found, str]]) -> list[Found]:
        """Of unknown weights with digests, in order of use, those that are one of the map's, which a tool has split."""
        found: list[Found] = []
        sums = [without_zeros(digest, each.weight.size) for each, digest in unknown]
        for count in JOINED:
            for start in range(len(unknown) - count + 1):
                names = self._sums[0].get(sum(sums[start : start + count]) % 2**64)
                if names is not None:
                    parts = unknown[start : start + count]
                    found.extend(Found(each.weight, Fit.JOINED, _WORTH[Fit.JOINED], names) for each, _ in parts)
        return found

    def _by_digest(self, weight: StoredWeight, values: Rows) -> Found | None:
        names, fit = self._sums[0].get(without_zeros(values.digest, values.size)), Fit.SAME
        if names is None:
            names, fit = self._sums[1].get(without_zeros(values.digests[1], values.size)), Fit.ROUNDED
        if names is None:
            return None
        fit = Fit.JOINED if len(names) > 1 else fit
        return Found(weight, fit, _WORTH[fit], names)

    def _by_sketch(self, weight: StoredWeight, values: Rows) -> Found:
        """The parameter whose channels agree best, if chance does not explain it."""
        best, name, compared, telling = 0.0, "", 0, False
        least = _TELLING / _filled(weight, values)
        for channels, found in values.orders:
            telling = telling or (ranks_of(found) is not None and found.size >= least)
            for names, ranks in self._candidates(channels):
                bits = agreements(ranks, found)
                compared += len(names)
                at = int(bits.argmax())
                if bits[at] > best:
                    best, name = float(bits[at]), names[at]
        bits_left = best - math.log2(max(compared, 1))
        if bits_left >= _LEAST_BITS:
            return Found(weight, Fit.CLOSE, min(bits_left, _WORTH[Fit.SAME]), (name,))
        # A vector may be a bias that a normalisation was folded into, which makes another one of it. A map without
        # sketches knows nothing of what was rounded, and little of what may have been folded.
        # Recurrent layers order their gates otherwise in ONNX than in PyTorch.
        recurrent = len(weight.shape) == 3 and weight.shape[0] <= 2
        if (
            not telling
            or recurrent
            or len(weight.shape) < 2
            or (not self.sketched and (weight.rounded or len(weight.shape) > 2))
        ):
            return Found(weight, Fit.MUTE)
        return Found(weight, Fit.UNKNOWN, _WORTH[Fit.UNKNOWN])

    def _candidates(self, channels: int) -> Iterator[tuple[list[str], list[Numbers]]]:
        """Parameters of as many channels, of fewer to which zeros or others were added, or of more that were cut."""
        for known, entry in self._sketches.items():
            padded = known < channels == -(-known // BLOCKS[0]) * BLOCKS[0]
            padded = padded or known < channels == -(-known // BLOCKS[1]) * BLOCKS[1]
            if known == channels or padded or channels in [known * count for count in JOINED]:
                yield entry


def parameters_of(
    ctx: Context,
    weights: Iterable[StoredWeight],
    owners: Mapping[str, Sequence[str]],
    names: Collection[str] | None = None,
) -> list[Parameter]:
    """The weights of a tagged file as a map would list them; some rows of one are read at a time.

    Parameters
    ----------
    ctx : Context
        Of the tagged file.
    weights : iterable of StoredWeight
        Of the file, as `stored_weights` gives them.
    owners : mapping
        Stored tensors to the modules that read them.
    names : collection of str, optional
        Read these weights alone.

    Returns
    -------
    list of Parameter
        One for each way in which a weight's output channels may lie.
    """
    found: list[Parameter] = []
    for weight in weights:
        if names is not None and weight.name not in names:
            continue
        values = read(ctx, weight)
        if values is None or values.first.dtype.kind not in "fiu" or not values.tell:
            continue
        owner = next(iter(owners.get(weight.name, ())), "")
        ways = {channels: sketch for channels, told in values.orders if (sketch := sketch_in(told))}
        for channels, sketch in (ways or {weight.shape[0]: ""}).items():
            shape = (channels, weight.size // channels) if len(weight.shape) > 1 else weight.shape
            found.append(Parameter(weight.name, owner, shape, values.first.dtype.name, values.digests, sketch))
    return found


def _filled(weight: StoredWeight, values: Rows) -> float:
    """The share of a convolution's values that are no padding: blocks of 16 channels may hold 4."""
    if weight.rounded or len(weight.shape) != 4:
        return 1.0
    return values.filled
