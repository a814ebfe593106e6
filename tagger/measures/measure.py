"""What a measure is: a column with its unit and its rule of adding up, and a number, or none, for each node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import numpy as np
import numpy.typing as npt

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures import MEASURES
from onnx_tagger.model.graph import Op, Walk
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import brief, brief_fields, counted

Rule = Literal["sum", "max", "rms", "none"]
Direction = Literal["higher", "lower"]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table by module.

    Attributes
    ----------
    name : str
        What it is called, in every form of output.
    unit : str
        Unit of its numbers, such as ``µs`` or ``B``; empty for counts and shares.
    rule : "sum", "max", "rms" or "none"
        How the numbers of several nodes are one: their sum, the largest, or the root of their mean square; ``none`` of
        numbers that are known by module alone, such as the width of an interval.
    worse : "higher", "lower" or None
        Which numbers are worse; None where neither is.
    """

    name: str
    unit: str = ""
    rule: Rule = "sum"
    worse: Direction | None = None

    __repr__ = brief_fields


@dataclass(frozen=True, slots=True)
class Measured:
    """What measures look at.

    Attributes
    ----------
    walk : Walk
        Of the model.
    ops : sequence of Op
        The nodes that count, in the order of the walk.
    tags : sequence of (Tag or None)
        One for each of them.
    """

    walk: Walk
    ops: Sequence[Op]
    tags: Sequence[Tag | None]

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False)
class Measure:
    """A column with a number for each node.

    Parameters
    ----------
    column : Column
    values : sequence of (float or None), or array of float64
        One for each node; None or NaN where there is none.
    places : callable, optional
        The paths of the modules at which a node's number stands, each time in full; the node's module if left out.
    """

    column: Column
    values: Sequence[float | None] | Numbers
    places: Callable[[Tag], Iterable[str]] | None = None

    def __repr__(self) -> str:
        return brief(self, self.column.name, counted(len(self.values), "number"))

    @property
    def numbers(self) -> Numbers:
        """The values as an array, with NaN for none."""
        return np.asarray(self.values, dtype=np.float64)


def measures_of(names: Iterable[str], measured: Measured) -> list[Measure]:
    """The measures of some names, each once.

    Raises
    ------
    TaggerError
        If a name is not known.
    """
    found: list[Measure] = []
    for name in dict.fromkeys(names):
        if name not in MEASURES:
            known = ", ".join(MEASURES)
            raise TaggerError(f"no measure is named {name!r}: {advice_on(name, MEASURES, f'choose from {known}')}")
        made: list[Measure] = import_module(f"onnx_tagger.measures.{MEASURES[name]}").measure(measured)
        found += made
    return found
