"""The choice among what was tried: the best one that meets the targets, or else the nearest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx_tagger.measures.optimising.optimised import Interval, Targets, Try

ORIGINAL = "original"


def pareto(tries: Sequence[Try], speedups: Mapping[str, Interval]) -> list[Try]:
    """Those of which no other one is at least as fast, as exact and as small, and better in one of these.

    Examples
    --------
    >>> a, b = (Try(name, "", name, "", "kept", "", size=size, drop=0.0) for name, size in (("a", 4), ("b", 5)))
    >>> [each.id for each in pareto([a, b], {"a": Interval(1.5), "b": Interval(1.2)})]
    ['a']
    """
    points = {each.id: (-speedups[each.id].mean, each.drop or 0.0, each.size) for each in tries if each.id in speedups}
    return [
        each
        for each in tries
        if each.id in points
        and not any(
            other != points[each.id] and all(a <= b for a, b in zip(other, points[each.id], strict=True))
            for other in points.values()
        )
    ]


def choose(tries: Sequence[Try], speedups: Mapping[str, Interval], targets: Targets) -> tuple[Try, bool, str]:
    """What to write, whether it meets the targets, and a sentence about both.

    Parameters
    ----------
    tries : sequence of Try
        The original among them.
    speedups : mapping
        Id to speed-up over the original, all of one measurement; what is not in it is no candidate.
    targets : Targets
    """
    candidates = [each for each in tries if each.id in speedups]
    exact = [each for each in candidates if targets.max_drop is None or (each.drop or 0.0) <= targets.max_drop]
    front = pareto(exact, speedups)
    fastest = max(front, key=lambda each: speedups[each.id].mean)
    if targets.speedup is None:
        sure = [each for each in front if speedups[each.id].surely_above > 1]
        if not sure:
            first = next(each for each in tries if each.id == ORIGINAL)
            return first, True, "nothing that was tried is faster than the original for sure: it is written as it was"
        best = max(sure, key=lambda each: speedups[each.id].mean)
        return best, True, f"{best.id} is the fastest, {_shown(speedups[best.id])} the original"
    wanted = targets.speedup
    enough = [each for each in front if speedups[each.id].mean >= wanted]
    if enough:
        best = min(enough, key=lambda each: (each.drop or 0.0, -speedups[each.id].mean))
        found = speedups[best.id]
        doubt = "" if found.surely_above >= wanted else ", though its interval reaches below that"
        return best, True, f"{best.id} is {_shown(found)} the original, and x {wanted:g} was asked for{doubt}"
    where = "" if targets.max_drop is None else f" with a drop of at most {targets.max_drop:g}"
    lost = "" if not fastest.drop else f" and a drop of {fastest.drop:.4g}"
    return (
        fastest,
        False,
        f"the target of x {wanted:g}{where} is missed: the nearest is {fastest.id}, "
        f"{_shown(speedups[fastest.id])} the original{lost}",
    )


def _shown(found: Interval) -> str:
    if found.low is None or found.high is None:
        return f"x {found.mean:.3f} as fast as"
    return f"x {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}] as fast as"
