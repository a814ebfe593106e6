"""Two profiles compared: which modules became slower or faster for sure, and by how much.

Sessions are the sample: each module has one time a session, and Welch's test of the logarithms says how likely the
difference of the means is by chance. With many modules some differ by chance alone, so a change counts only if it is
unlikely in all of them together (Bonferroni) and larger than a floor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import TYPE_CHECKING, Literal

import numpy as np

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import Module
from onnx_tagger.measures.student import welch
from onnx_tagger.model.texts import brief, brief_fields, counted

if TYPE_CHECKING:
    from onnx_tagger.measures.profiling.profile import Profile

Verdict = Literal["slower", "faster", "same", "unsure", "only before", "only after"]

# A module of a smaller share in both is not judged: its time is a few ticks of the clock.
LEAST_SHARE = 0.01

# The chance of one false alarm or more in a whole comparison, half of it for what looks slower.
_ALPHA = 0.04

# Kernels whose times show what all of a model has in common.
_LEAST_REST = 8


@dataclass(frozen=True, slots=True)
class Change:
    """One module in two profiles.

    Attributes
    ----------
    module : str or None
        Its path, ``""`` for the root with all below: the whole; None for the kernels without a module.
    before, after : float
        Microseconds of a run, means of the sessions.
    ratio : float or None
        After over before, of geometric means; None where one of them has none.
    low, high : float or None
        The 95 % interval of the ratio.
    chance : float or None
        How likely such a change is by chance.
    verdict : str
        ``slower`` and ``faster`` for sure; ``same`` where a change beyond the floor can be ruled out; else ``unsure``.
    relative : bool
        Whether ratio, interval and verdict are of the module beside the rest of the model, since its time by itself
        scattered too much.
    """

    module: str | None
    before: float
    after: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    verdict: Verdict = "unsure"
    relative: bool = False

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False, repr=False)
class ProfileChange:
    """What became slower or faster between two profiles.

    Parameters
    ----------
    before, after : Profile
    rows : tuple of Change
        One for each module of either that was judged, in the order of the tree; the first is the whole.
    floor : float
        A change below this share is none that matters.
    notes : tuple of str
        Sentences on how far to trust it.
    """

    before: Profile
    after: Profile
    rows: tuple[Change, ...]
    floor: float
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> Change:
        """The change of all kernels together."""
        return self.rows[0]

    @property
    def slower(self) -> list[Change]:
        """What is slower for sure, the largest loss of time first."""
        found = [row for row in self.rows if row.verdict == "slower"]
        return sorted(found, key=lambda row: row.before - row.after)

    @property
    def faster(self) -> list[Change]:
        """What is faster for sure, the largest gain first."""
        found = [row for row in self.rows if row.verdict == "faster"]
        return sorted(found, key=lambda row: row.after - row.before)

    def __repr__(self) -> str:
        judged = counted(len(self.rows), "module")
        return brief(self, f"{judged} judged", f"{len(self.slower)} slower", f"{len(self.faster)} faster")


def change_of(before: Profile, after: Profile, floor: float) -> ProfileChange:
    """Judge each module that has a share in the time of either profile; see `Profile.compare`.

    Raises
    ------
    TaggerError
        If one of them has fewer than two sessions.
    """
    for profile in (before, after):
        if profile.sessions < 2:
            raise TaggerError(
                f"the profile of {profile.model} is of {counted(profile.sessions, 'session')}, which says nothing of "
                "how much times scatter; profile it with --sessions 5"
            )
    times = list(_times(before, after))
    judged = [(name, old, new) for name, old, new in times if all(old) and all(new)]
    drift = _drift(before, after)
    blur, rest = _Blur(before, after), _Rest(before, after)
    rows = []
    for name, old, new in times:
        if all(old) and all(new):
            # Two tests of each module, so twice as many chances of an alarm.
            row = _judged(name, old, new, 2 * len(judged), floor, drift)
            if row.verdict == "unsure" and name:
                row = rest.judged(row, old, new, 2 * len(judged), floor)
            sure = row.verdict in ("slower", "faster") and abs(row.after - row.before) > blur.of(name)
            rows.append(row if sure or row.verdict in ("same", "unsure") else replace(row, verdict="unsure"))
        else:
            rows.append(_one_sided(name, old, new))
    return ProfileChange(before, after, tuple(rows), floor, tuple(_notes(before, after, drift, floor)))


def _times(before: Profile, after: Profile) -> Iterator[tuple[str | None, list[float], list[float]]]:
    """The modules to judge, with their microseconds in each session of both.

    A module that holds nothing but one other module is left out: its time is that one's.
    """
    table = before.session_table("before").join(after.session_table("after"))
    names = [[f"{part} {at}" for at in range(p.sessions)] for part, p in (("before", before), ("after", after))]
    wholes = [_mean([table.whole[name] or 0.0 for name in columns]) for columns in names]
    totals = [row.total for row in table.rows[:-1]]
    places = {module.path: place for place, module in enumerate(table.modules)}
    for place, row in enumerate(table.rows):
        cells = row.total if row.module is not None else row.own
        old, new = ([cells[name] or 0.0 for name in columns] for columns in names)
        large = any(_mean(values) >= LEAST_SHARE * whole > 0 for values, whole in zip((old, new), wholes, strict=True))
        same = () if row.module is None else [m for m in _twins(row.module) if totals[places[m.path]] == row.total]
        if place == 0 or (large and not same):
            yield row.path, old, new


def _twins(module: Module) -> Iterator[Module]:
    """Modules that are shown in place of one where both take the same time: those in it, the one around a container."""
    yield from (child for child in module.children if child.tag is not None)
    if module.tag is None and module.parent is not None:
        yield module.parent


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _one_sided(name: str | None, old: Sequence[float], new: Sequence[float]) -> Change:
    """A module that takes no time in one of them, in one session at least."""
    verdict: Verdict = "unsure"
    if not any(old) or not any(new):
        verdict = "only after" if not any(old) else "only before"
    return Change(name, _mean(old), _mean(new), verdict=verdict)


def _judged(
    name: str | None, old: Sequence[float], new: Sequence[float], tests: int, floor: float, drift: float
) -> Change:
    off, half, chance = welch([log(value) for value in old], [log(value) for value in new])
    margin = log(1 + floor)
    verdict: Verdict = "unsure"
    # What the machine itself lost or won in the meantime is no change of the model.
    if chance * tests < _ALPHA and abs(off) > margin + max(0.0, drift if off > 0 else -drift):
        verdict = "slower" if off > 0 else "faster"
    elif -margin < off - half and off + half < margin:
        verdict = "same"
    return Change(name, _mean(old), _mean(new), exp(off), exp(off - half), exp(off + half), chance, verdict)


class _Rest:
    """What all of a model has in common in each session, such as that another program ran beside it.

    It is the median of the larger kernels, of how much longer each of them took than it does on average over all
    sessions of both profiles; without it a module's time scatters a third as much on a busy machine.
    """

    def __init__(self, before: Profile, after: Profile) -> None:
        old, new = ({kernel.name: kernel for kernel in profile.kernels} for profile in (before, after))
        both = [name for name in old if name in new and old[name].op == new[name].op]
        times = [(*old[name].us, *new[name].us) for name in both]
        means = [_mean(values) for values in times]
        large = [v for v, mean in zip(times, means, strict=True) if all(v) and mean >= float(np.median(means))]
        # With few kernels, or few in common, there is no rest that a module could be compared with.
        self.known = len(large) >= _LEAST_REST and 2 * len(both) > max(len(old), len(new))
        if self.known:
            logs = np.log(np.array(large))
            common = np.median(logs - logs.mean(axis=1, keepdims=True), axis=0).tolist()
            self.before, self.after = common[: before.sessions], common[before.sessions :]
            self.shift = _mean(self.after) - _mean(self.before)

    def judged(self, row: Change, old: Sequence[float], new: Sequence[float], tests: int, floor: float) -> Change:
        """The same module compared with the rest, if that is sure.

        It counts only for a module that took longer by itself, too, and if the rest has not become faster: what stays
        as it is while all else is made faster is not slower.
        """
        if not self.known:
            return row
        ones = [log(value) - common for value, common in zip(old, self.before, strict=True)]
        others = [log(value) - common for value, common in zip(new, self.after, strict=True)]
        off, half, chance = welch(ones, others)
        margin, sign = log(1 + floor), 1 if off > 0 else -1
        own = log(row.ratio or 1.0)
        if chance * tests < _ALPHA and min(sign * off, sign * own) > margin and sign * self.shift > -margin:
            verdict: Verdict = "slower" if sign > 0 else "faster"
            return replace(
                row,
                ratio=exp(off),
                low=exp(off - half),
                high=exp(off + half),
                chance=chance,
                verdict=verdict,
                relative=True,
            )
        return row


class _Blur:
    """How much of a difference the profiler itself may make where two models run other kernels for a module.

    What it costs a kernel is taken out as a mean over kernels, and one kernel differs from another by as much: that
    cancels where the same operators run in both, and does not where some were fused, nor for what runs behind them.
    """

    def __init__(self, before: Profile, after: Profile) -> None:
        self._ops = [_operators(profile) for profile in (before, after)]
        self._each = max(p.overhead.taken_out if p.overhead is not None else 0.0 for p in (before, after))

    def of(self, name: str | None) -> float:
        """Microseconds; 0 if the whole runs the same operators in both."""
        return self._each * (1 + self._others(name)) if self._others("") else 0.0

    def _others(self, name: str | None) -> int:
        """How many kernels only one of the two has, by their operators."""
        old, new = (ops.get(name, Counter()) for ops in self._ops)
        return ((old - new) + (new - old)).total()


def _operators(profile: Profile) -> dict[str | None, Counter[str]]:
    """Path of a module to the operators in it and below, and how many kernels of each; None for no module."""
    found: dict[str | None, Counter[str]] = {}
    for kernel in profile.kernels:
        module = None if kernel.tag is None else profile.tree.find(kernel.tag.module)
        if module is None:
            found.setdefault(None, Counter())[kernel.op] += 1
            module = profile.tree.root
        while module is not None:
            found.setdefault(module.path, Counter())[kernel.op] += 1
            module = module.parent
    return found


def _drift(before: Profile, after: Profile) -> float:
    """By how much the machine itself was slower in the second profile, as a logarithm; 0 where that is not known."""
    if not before.yardsticks or not after.yardsticks:
        return 0.0
    return log(_mean(after.yardsticks) / _mean(before.yardsticks))


def _notes(before: Profile, after: Profile, drift: float, floor: float) -> Iterator[str]:
    keys = sorted({*before.settings, *after.settings})
    odd = [key for key in keys if before.settings.get(key) != after.settings.get(key)]
    if before.runtime != after.runtime:
        yield f"the runtimes differ: {before.runtime} before, {after.runtime} after"
    for key in odd:
        yield f"{key} differs: {before.settings.get(key, 'not set')} before, {after.settings.get(key, 'not set')} after"
    if abs(drift) > log(1 + floor):
        yield (
            f"the machine itself took {100 * (exp(drift) - 1):+.0f} % for the same matrix product while the second was "
            "profiled; only what differs by more than that and the limit counts"
        )
    if not before.yardsticks or not after.yardsticks:
        yield "how fast the machine was is not known of both, so a slower machine looks like a slower model"
