"""What quantising costs by module, and what was quantised, as values that are saved and loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.model.texts import brief, brief_fields, counted

Precision = Literal["int8", "fp32"]

_T = TypeVar("_T")


class ModuleNoise(msgspec.Struct, frozen=True, kw_only=True):
    """What quantising one module costs.

    Attributes
    ----------
    module : str
        Path of the module.
    nodes : int
        Nodes of it that are quantised.
    weights : int
        Values of the weights that they read.
    noise : float
        Noise of the outputs when this module alone is quantised, as a share of their signal.
    sqnr : float
        The same in decibels: signal to noise.
    share : float
        Of the noise of all modules, 0 to 1.
    """

    module: str
    nodes: int
    weights: int
    noise: float
    sqnr: float
    share: float

    __repr__ = brief_fields


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """What quantising costs by module, the costliest first.

    Attributes
    ----------
    model, data : str
        The file, and what it was measured on.
    how : str
        ``inject`` or ``each``.
    samples : int
    modules : tuple of ModuleNoise
    all_sqnr : float
        Signal to noise in decibels with all of them quantised, as it was found.
    predicted_sqnr : float
        The same if the modules' noise adds up.
    notes : tuple of str
    """

    model: str
    data: str
    how: str
    samples: int
    modules: tuple[ModuleNoise, ...]
    all_sqnr: float
    predicted_sqnr: float
    notes: tuple[str, ...] = ()
    format: Literal["onnx-tagger/sensitivity"] = "onnx-tagger/sensitivity"
    version: Literal[1] = 1

    def __repr__(self) -> str:
        return brief(self, counted(len(self.modules), "module"), f"{self.all_sqnr:.1f} dB")

    def to_json(self) -> str:
        """All of it as JSON text."""
        return _text(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all."""
        replace_file(path, _text(self).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sensitivity:
        """Read what `save` wrote.

        Raises
        ------
        TaggerError
            If it is no such file.
        """
        return _loaded(Path(path), cls, "a sensitivity")


class ModulePrecision(msgspec.Struct, frozen=True):
    """A module and how its nodes compute: ``int8`` or ``fp32``."""

    module: str
    precision: Precision
    nodes: int

    __repr__ = brief_fields


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A way of quantising that was tried.

    Attributes
    ----------
    way : str
        Such as ``static qdq minmax``.
    kept : tuple of str
        Modules that stayed as they were to meet a target.
    sqnr : float or None
        Signal to noise in decibels as it was found; None without data.
    predicted : float or None
        The same as it was expected.
    metric : float or None
        What the user's metric says.
    bytes : int
        Of the file.
    error : str or None
        Why there is no such file.
    """

    way: str
    kept: tuple[str, ...] = ()
    sqnr: float | None = None
    predicted: float | None = None
    metric: float | None = None
    bytes: int = 0
    error: str | None = None

    __repr__ = brief_fields


class Quantized(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was quantised by module.

    Attributes
    ----------
    model, output : str
    data : str or None
        What it was calibrated and measured on.
    modules : tuple of ModulePrecision
    variants : tuple of Variant
        What was tried; the last one that has no error is the output.
    metric_before : float or None
        What the user's metric says of the float file.
    bytes_before : int
        Of the float file.
    mended : int
        Inputs of modules that stayed as they were that read a dequantised copy, and no longer do.
    coverage : float
        Share of the output's nodes that have a tag, 0 to 100.
    failures : tuple of str
        Targets that are missed, in sentences.
    notes : tuple of str
    """

    model: str
    output: str
    data: str | None
    modules: tuple[ModulePrecision, ...]
    variants: tuple[Variant, ...]
    metric_before: float | None = None
    bytes_before: int = 0
    mended: int = 0
    coverage: float = 0.0
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    format: Literal["onnx-tagger/quantized"] = "onnx-tagger/quantized"
    version: Literal[1] = 1

    def __repr__(self) -> str:
        return brief(self, self.output, "ok" if self.ok else counted(len(self.failures), "failure"))

    @property
    def ok(self) -> bool:
        """Whether all targets are met."""
        return not self.failures

    @property
    def chosen(self) -> Variant:
        """The variant that the output is."""
        return [each for each in self.variants if each.error is None][-1]

    def to_json(self) -> str:
        """All of it as JSON text."""
        return _text(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all."""
        replace_file(path, _text(self).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Quantized:
        """Read what `save` wrote.

        Raises
        ------
        TaggerError
            If it is no such file.
        """
        return _loaded(Path(path), cls, "a report on quantising")


def _text(value: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


def _loaded(path: Path, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise TaggerError(
            f"{path}: cannot be read ({error.strerror}); {advice_on_missing(path) or 'check it'}"
        ) from error
    except msgspec.MsgspecError as error:
        raise TaggerError(f"{path}: is no {what.removeprefix('a ')} that onnx-tagger saved ({error})") from error
