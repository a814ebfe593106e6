"""Ways to run a model compared: optimisation levels and settings, each in sessions of its own, by turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path

from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.measures.profiling.change import ProfileChange
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.measures.student import estimate
from onnx_tagger.model.texts import brief
from onnx_tagger.workflows.profiling.measuring import Progress, profiles
from onnx_tagger.workflows.profiling.planning import Plan


@dataclass(frozen=True)
class Way:
    """One way to run a model.

    Attributes
    ----------
    name : str
        Level and settings.
    profile : Profile
    nodes : int
        Of the model as the runtime optimised it.
    ratio : float
        Its latency over that of the first way: the geometric mean of the sessions, in each of which both took turns.
    low, high : float or None
        The 95 % interval of the ratio.
    change : ProfileChange or None
        What it changed module by module, from the first way; None for the first way itself, or for one session.
    """

    name: str
    profile: Profile
    nodes: int
    ratio: float
    low: float | None
    high: float | None
    change: ProfileChange | None

    def __repr__(self) -> str:
        return brief(self, self.name, f"x{self.ratio:.3g}")

    @property
    def differs(self) -> bool:
        """Whether its latency is another one for sure."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def ways(
    model: str | Path,
    hierarchy: MapSource | None,
    levels: Sequence[str],
    changes: Sequence[str],
    plan: Plan,
    *,
    provider: str | None = None,
    threads: int = 1,
    inputs: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Way]:
    """Run a model in several ways: at each level, and at the first one with each change of settings.

    Parameters
    ----------
    model : path
    hierarchy : HierarchyMap or path, optional
    levels : sequence of str
    changes : sequence of str
        ``K=V``, several in one parted by commas.
    plan : Plan
    provider, threads, inputs, force, progress
        See `profile`.

    Raises
    ------
    TaggerError
        If something that was given cannot be used.
    """
    from onnx_tagger.runtime.settings import setups_of

    setups = setups_of(levels, changes, provider, threads)
    found = profiles(model, hierarchy, setups, plan, inputs=inputs, force=force, progress=progress)
    first = found[0][1]
    made = []
    for measured, profile in found:
        ratio = estimate(measured.ratios)
        low = high = None
        if ratio.half is not None:
            low, high = exp(ratio.mean - ratio.half), exp(ratio.mean + ratio.half)
        change = first.compare(profile) if profile is not first and profile.sessions > 1 else None
        nodes = len(measured.optimised.context.ops) if measured.optimised is not None else 0
        made.append(Way(measured.setup.name, profile, nodes, exp(ratio.mean), low, high, change))
    return made
