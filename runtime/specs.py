"""Values as an input spec describes them, the JSON file that exporting takes as well; made by numpy, without torch.

The two read the same files; the values differ, since each draws from its own source of randomness.
"""

from __future__ import annotations

import zlib
from math import isfinite, prod
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.runtime.feeds import Array

_MOST_ELEMENTS, _MOST_BYTES = 1 << 27, 64 << 20
_TAKES = "an input takes 'dtype', 'shape', and either 'range' [low, high) or 'values'"


class _Spec(Struct, forbid_unknown_fields=True):
    """One input: random values of a type and shape, from a range, or values that are given."""

    dtype: Literal["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
    shape: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(max_length=8)]
    range: Annotated[list[int | float], Meta(min_length=2, max_length=2)] | None = None
    values: bool | int | float | list[object] | None = None

    def array(self, random: np.random.Generator) -> Array:
        """The values.

        Raises
        ------
        ValueError
            If the fields contradict each other.
        """
        dtype = np.dtype(self.dtype)
        if prod(self.shape) > _MOST_ELEMENTS:
            raise ValueError(f"shape {self.shape} has more than {_MOST_ELEMENTS} elements")
        if self.values is not None:
            if self.range is not None:
                raise ValueError("'range' and 'values' are both given")
            return self._filled(dtype)
        if dtype.kind == "f" and self.range is None:
            return np.asarray(random.standard_normal(self.shape), dtype)
        low, high = self.range or (0, 2)
        if not (isfinite(low) and isfinite(high) and low < high):
            raise ValueError(f"range [{low}, {high}) is empty or not finite")
        if dtype.kind == "f":
            return np.asarray(random.uniform(low, high, self.shape), dtype)
        bounds = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if not (isinstance(low, int) and isinstance(high, int) and bounds[0] <= low and high - 1 <= bounds[1]):
            raise ValueError(f"range [{low}, {high}) does not fit {self.dtype}")
        return np.asarray(random.integers(low, high, self.shape), dtype)

    def _filled(self, dtype: np.dtype[np.generic]) -> Array:
        made = np.asarray(self.values)
        whole = made.dtype.kind in ("b", "i", "u")
        if made.dtype.kind not in "biuf" or (dtype.kind != "f" and not whole):
            raise ValueError(f"'values' do not fit {self.dtype}")
        if isinstance(self.values, list) and made.shape != tuple(self.shape):
            raise ValueError("the nested list of 'values' does not have the shape that 'shape' says")
        cast = made.astype(dtype)
        if dtype.kind != "f" and not np.array_equal(cast, made):
            raise ValueError(f"'values' do not fit {self.dtype}")
        return np.array(np.broadcast_to(cast, self.shape))


def spec_feeds(path: Path, seed: int = 0) -> dict[str, Array]:
    """The values of an input spec; each input draws from a source of its own.

    Parameters
    ----------
    path : Path
        A JSON object of input name to its description; null leaves an input out.
    seed : int

    Raises
    ------
    TaggerError
        If the file cannot be read as one; the message names the entry.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TaggerError(f"{path}: an input spec has at most {_MOST_BYTES} bytes; give an .npz file instead")
        texts = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
    except OSError as error:
        meant = advice_on_missing(path) if isinstance(error, FileNotFoundError) else ""
        raise TaggerError(f"{path}: cannot be read ({error.strerror}); {meant or _TAKES}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TaggerError(f"{path}: {place_and_fault(error)[1]}; {_TAKES}") from None
    made = {}
    for name, text in texts.items():
        spec = _entry(path, name, text)
        if spec is not None:
            random = np.random.default_rng([seed, zlib.crc32(name.encode())])
            try:
                made[name] = spec.array(random)
            except (ValueError, OverflowError) as error:
                raise TaggerError(f"{path}: input {name!r}: {error}; {_TAKES}") from None
    return made


def _entry(path: Path, name: str, text: msgspec.Raw) -> _Spec | None:
    try:
        return msgspec.json.decode(text, type=_Spec | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place, fault = place_and_fault(error)
        raise TaggerError(f"{path}: input {name!r}, {place or 'entry'}: {fault}; {_TAKES}") from None
