"""Inside a module that differs: which of its nodes computes what no operation of the reference does.

Values are compared in the order of their size, so that layouts do not matter. A node is a suspect if its value is none
of the reference's, and the values of what it reads are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from onnx_tagger.measures.comparison.comparison import Comparison, Suspect
from onnx_tagger.measures.comparison.distances import LARGEST, Values
from onnx_tagger.passes.base import Context
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.workflows.comparison.borders import Borders, module_of
from onnx_tagger.workflows.comparison.feeding import spans_of
from onnx_tagger.workflows.comparison.running import Trial

if TYPE_CHECKING:
    from onnx_tagger.exporters.truth.observed import Observation

_Sorted = npt.NDArray[np.float64]

# How many of the numbers, evenly apart, are looked at before all of them are.
_PROBES = 8


@dataclass
class Known:
    """The values that the reference computes, each sorted, by how many numbers it has."""

    values: dict[int, list[_Sorted]] = field(default_factory=lambda: defaultdict(list))

    def add(self, value: Values) -> None:
        """Note a value."""
        self.values[value.size].append(_sorted(value))

    def holds(self, value: Values, allowed: float) -> bool:
        """Whether a value is one of them."""
        mine = _sorted(value)
        size = float(np.linalg.norm(mine))
        step = max(1, mine.size // _PROBES)
        for known in self.values.get(value.size, ()):
            if np.abs(known[::step] - mine[::step]).max(initial=0.0) > allowed * max(size, 1e-9):
                continue
            if float(np.linalg.norm(known - mine)) <= allowed * max(size, 1e-9):
                return True
        return False


def _sorted(value: Values) -> _Sorted:
    plain = np.clip(np.nan_to_num(np.asarray(value, dtype=np.float64), nan=LARGEST), -LARGEST, LARGEST)
    return np.sort(plain, axis=None)


def values_of_observations(observations: Iterable[Observation]) -> Known:
    """The values that operations of torch made."""
    known = Known()
    for each in observations:
        if each.values is not None and each.values.dtype.kind == "f":
            known.add(each.values)
    return known


def values_of_file(probe: Probe, ctx: Context, feeds: Mapping[str, Values], modules: Collection[str]) -> Known:
    """The values that nodes of some modules make in a file."""
    known = Known()
    borders = Borders.of(ctx, spans_of(ctx))
    names = [
        name
        for node, work in zip(borders.nodes, borders.work, strict=True)
        if any(module_of(call) in modules for call in work.calls)
        for name in (*node.input, *node.output)
        if name in borders.makers
    ]

    def look(_: str, found: Values) -> None:
        if found.dtype.kind == "f":
            known.add(found)

    probe.run(feeds, list(dict.fromkeys(names)), look)
    return known


def with_suspects(comparison: Comparison, trial: Trial, known: Known) -> Comparison:
    """A comparison with the suspects among the nodes of each module that differs.

    Parameters
    ----------
    comparison : Comparison
    trial : Trial
        That has run.
    known : Known
        The values of the reference's operations.
    """
    found: list[Suspect] = []
    for module, error in comparison.bad.items():
        found += _suspects(trial, known, module, error.tensor)
    return replace(comparison, operations=tuple(found))


def _suspects(trial: Trial, known: Known, module: str, tensor: str) -> list[Suspect]:
    """The first nodes that lead to a tensor and compute what the reference does not."""
    borders, chosen = trial.borders, trial.pairing.chosen
    region = [place for place, points in borders.served(list(chosen)).items() if tensor in points]
    names = [name for place in sorted(region) for name in borders.nodes[place].output if name]
    given = trial.pairing.given(list(chosen))
    allowed = trial.tolerances.allowed(tensor)
    good: dict[str, bool] = {}

    def look(name: str, found: Values) -> None:
        good[name] = found.dtype.kind != "f" or not found.size or known.holds(found, allowed)

    exposed = [name for name in dict.fromkeys(names) if name not in trial.probe.channels or name in chosen]
    trial.probe.run(trial.feeds, exposed, look, given=given)
    return [
        Suspect(module, f"main#{place} {borders.nodes[place].op_type}", borders.nodes[place].name, name)
        for place in sorted(region)
        for name in _bad_outputs(borders.nodes[place].output, good)
        if all(good.get(read, True) or read in chosen for read in borders.reading.get(place, ()))
    ]


def _bad_outputs(outputs: Sequence[str], good: Mapping[str, bool]) -> list[str]:
    return [name for name in outputs if name and not good.get(name, True)][:1]
