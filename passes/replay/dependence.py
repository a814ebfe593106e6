"""Whether what a node reads and what an operation of the run read go together.

No tool makes an operation depend less: a node that reads the results of two others cannot do an operation that knows
nothing of one of them, however well its place between its neighbours in the file fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.passes.analyses.dataflow import Flow

# So many operations are known before a node; of one that reads more at once, nothing is said.
_MOST = 8

# So many operations are looked at before it is given up to find one among them.
_LOOKS = 200


def known_before(flow: Flow, known: Mapping[int, int], mute: Sequence[bool]) -> dict[int, frozenset[int]]:
    """For each node the last operations before it that are known: those of which results reach it.

    Parameters
    ----------
    flow : Flow
    known : mapping
        Id of a node to the place in the run of the operation that it does.
    mute : sequence of bool
        For each node whether it only works out sizes, of which the run knows nothing.

    Returns
    -------
    dict
        Id of a node to places; a node that has too many of them is left out, as are those behind it.
    """
    found: dict[int, frozenset[int]] = {}
    for index in flow.order:
        if mute[index]:
            found[index] = frozenset()
            continue
        makers = flow.producers(index)
        parts = [frozenset((known[maker],)) if maker in known else found.get(maker) for maker in makers]
        if all(part is not None for part in parts):
            places = frozenset().union(*(part for part in parts if part is not None))
            if len(places) <= _MOST:
                found[index] = places
    return found


class Dependence:
    """The run, asked what an operation depends on.

    Parameters
    ----------
    trace : sequence of Operation
        Where none has `reads`, nothing is known of what depends on what.
    numbers : sequence of int, optional
        The same for operations of which exporters make one; see `consistency.numbered`.
    """

    def __init__(self, trace: Sequence[Operation], numbers: Sequence[int] = ()) -> None:
        self._trace = trace
        self._numbers = numbers or range(len(trace))
        self._known = any(step.reads for step in trace)
        self._asked: dict[tuple[int, frozenset[int]], bool] = {}

    def contradicts(self, place: int, before: frozenset[int]) -> bool:
        """Whether an operation does certainly not depend on one of those before, being itself none of them.

        Examples
        --------
        >>> run = Dependence([Operation("q", "linear"), Operation("k", "linear"), Operation("k", "view", reads=(1,))])
        >>> run.contradicts(2, frozenset({1})), run.contradicts(2, frozenset({0, 1}))
        (False, True)
        """
        key = place, before
        if not self._known:
            return False
        if key not in self._asked:
            self._asked[key] = self._looked_up(place, before)
        return self._asked[key]

    def _looked_up(self, place: int, before: frozenset[int]) -> bool:
        first, seen, left = min(before, default=0), {place}, [place]
        missing = {self._numbers[at] for at in before}
        for _ in range(_LOOKS):
            if not left or not missing:
                return bool(missing)
            at = left.pop()
            missing.discard(self._numbers[at])
            for read in self._trace[at].reads:
                if read >= first and read not in seen:
                    seen.add(read)
                    left.append(read)
        return False
