"""The description of input tensors in a JSON file (`--inputs`): reading it, making its tensors, writing it.

What a model asks for, and how its inputs are made without such a file, is in `onnx_tagger.exporters.sources.inputs`.
"""

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
import torch
from msgspec import Meta, Struct

from onnx_tagger.errors import SourceError, one_line
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.hierarchy.validation import place_and_fault

DType = Literal[
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"
]  # fmt: skip
MAX_ELEMENTS = 2**27
MAX_SPEC_BYTES = 64 * 2**20
_ALLOWED = (
    f"an input takes 'dtype' ({', '.join(get_args(DType))}), 'shape' (8 sizes of 1 or more, at most {MAX_ELEMENTS} "
    "elements in all) and either 'range' [low, high) or 'values' (a number, or a nested list of that shape)"
)


class InputSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor of a spec file.

    Without `range` and `values`, floats are standard normal and integers and bools are drawn from [0, 2), which is
    right for masks and safe as an index. `range` is half-open: integers in [low, high), floats uniform in [low, high).
    """

    dtype: DType
    shape: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(max_length=8)]
    range: Annotated[list[int | float], Meta(min_length=2, max_length=2)] | None = None
    values: bool | int | float | list[object] | None = None

    def __post_init__(self) -> None:
        for name, numbers in (("range", self.range or ()), ("values", (self.values,))):
            if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
                raise ValueError(f"{name!r} has a number that is not finite")

    def tensor(self, generator: torch.Generator) -> torch.Tensor:
        """Make the tensor.

        Parameters
        ----------
        generator : torch.Generator
            Where random values come from.

        Returns
        -------
        torch.Tensor
            Of `dtype` and `shape`.

        Raises
        ------
        ValueError
            If the fields contradict each other; the message says which.
        """
        dtype: torch.dtype = getattr(torch, self.dtype)
        if math.prod(self.shape) > MAX_ELEMENTS:
            raise ValueError(f"shape {self.shape} has more than {MAX_ELEMENTS} elements")
        if self.range is not None and self.values is not None:
            raise ValueError("'range' and 'values' are both given")
        if self.values is not None:
            return _filled(self.values, self.shape, dtype)
        if dtype.is_floating_point and self.range is None:
            return torch.randn(self.shape, generator=generator, dtype=dtype)
        low, high = self.range or [0, 2]
        _check_range(low, high, dtype)
        if dtype.is_floating_point:
            return torch.rand(self.shape, generator=generator, dtype=dtype) * (high - low) + low
        return torch.randint(int(low), int(high), self.shape, generator=generator).to(dtype)


def read_spec(path: Path) -> dict[str, InputSpec | None]:
    """Read the file of `--inputs`: a JSON object of input name to `InputSpec`, or to null to leave that input out.

    Parameters
    ----------
    path : Path
        The JSON file.

    Returns
    -------
    dict of str to InputSpec or None
        In the order of the file.

    Raises
    ------
    SourceError
        If the file cannot be read or an entry is not as `InputSpec` says; the message names the entry.
    """
    try:
        if path.stat().st_size > MAX_SPEC_BYTES:
            raise SourceError(
                f"{path}: an input spec has at most {MAX_SPEC_BYTES} bytes; give a range instead of values"
            )
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as err:
        meant = advice_on_missing(path) if isinstance(err, FileNotFoundError) else ""
        raise SourceError(
            f"{path}: cannot be read as a JSON input spec ({one_line(err)}); {meant or _ALLOWED}"
        ) from err
    if not isinstance(content, dict):
        raise SourceError(f"{path}: an input spec is a JSON object of input name to description; {_ALLOWED}")
    return {name: _entry(path, name, entry) for name, entry in content.items()}


def spec_tensors(spec: Mapping[str, InputSpec | None], seed: int, where: str) -> dict[str, torch.Tensor]:
    """Make the tensors of a spec; entries that are null are left out.

    Parameters
    ----------
    spec : mapping of str to InputSpec or None
        As `read_spec` returns it.
    seed : int
        Seed of the random values; each input draws on its own, so that one more input changes no other.
    where : str
        What to name in an error, as a rule the spec file.

    Returns
    -------
    dict of str to torch.Tensor
        One tensor for each entry that is not null.

    Raises
    ------
    SourceError
        If an entry contradicts itself.
    """
    made = {}
    for name, entry in spec.items():
        if entry is None:
            continue
        try:
            made[name] = entry.tensor(generator(seed, name))
        except (ValueError, RuntimeError, OverflowError) as err:
            raise SourceError(f"{where}: input {name!r}: {one_line(err)}; {_ALLOWED}") from err
    return made


def spec_of(kwargs: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Describe tensors as a spec file would, so that the file gives tensors alike.

    Parameters
    ----------
    kwargs : mapping of str to object
        Inputs by name; what is no tensor has no spec and is left out.

    Returns
    -------
    dict of str to dict
        `dtype`, `shape`, and `values` for a constant tensor or `range` for other integers.

    Examples
    --------
    >>> spec_of({"mask": torch.ones(2, 8, dtype=torch.int64)})
    {'mask': {'dtype': 'int64', 'shape': [2, 8], 'values': 1}}
    """
    spec: dict[str, dict[str, object]] = {}
    for name, value in kwargs.items():
        if not isinstance(value, torch.Tensor):
            continue
        entry: dict[str, object] = {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
        if value.numel() and not value.dtype.is_floating_point:
            low, high = value.min().item(), value.max().item()
            if low == high:
                entry["values"] = low
            elif value.dtype is not torch.bool:
                entry["range"] = [low, high + 1]
        spec[name] = entry
    return spec


def generator(seed: int, name: str) -> torch.Generator:
    """The source of one input's random values: mixed with its name, so that they do not hang on the other inputs."""
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + zlib.crc32(name.encode())) % 2**63)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is given twice")
    return content


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def _entry(path: Path, name: str, entry: object) -> InputSpec | None:
    if entry is None:
        return None
    try:
        return msgspec.convert(entry, InputSpec)
    except (msgspec.ValidationError, UnicodeError) as err:
        place, fault = place_and_fault(err) if isinstance(err, msgspec.ValidationError) else ("", "a text is not valid")
        raise SourceError(f"{path}: input {name!r}, {place or 'entry'}: {fault}; {_ALLOWED}") from err


def _check_range(low: float, high: float, dtype: torch.dtype) -> None:
    if low >= high:
        raise ValueError(f"range [{low}, {high}) is empty")
    if dtype.is_floating_point:
        return
    floor, ceiling = (0, 1) if dtype is torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    if not (isinstance(low, int) and isinstance(high, int)):
        raise ValueError(f"range [{low}, {high}) of an integer input has to be of integers")
    if low < floor or high - 1 > ceiling:
        raise ValueError(f"range [{low}, {high}) does not fit {dtype}")


def _filled(values: object, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    for leaf in _leaves(values, shape) if isinstance(values, list) else (values,):
        whole = isinstance(leaf, (bool, int)) if dtype is torch.bool else type(leaf) is int
        if not whole and not (dtype.is_floating_point and type(leaf) in (int, float)):
            raise ValueError(f"value {leaf!r} does not fit {dtype}")
        if dtype is torch.bool and leaf not in (0, 1):
            raise ValueError(f"value {leaf!r} does not fit {dtype}")
    made = torch.tensor(values, dtype=dtype)
    return made if isinstance(values, list) else made.expand(shape).clone()


def _leaves(values: object, shape: list[int]) -> Iterator[object]:
    if not shape:
        yield values
        return
    if not isinstance(values, list) or len(values) != shape[0]:
        raise ValueError("the nested list of 'values' does not have the shape that 'shape' says")
    for value in values:
        yield from _leaves(value, shape[1:])
