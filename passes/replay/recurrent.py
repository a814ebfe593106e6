"""Recurrent layers, which torch may run as many operations for each step, and which a file holds as one node.

Whatever the run did step by step within such a layer is that node's work: no other node does any of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.passes.replay.operators import writes

# Operators that do what a recurrent layer does, all steps of it.
RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

# How the one operation is called that all steps of a layer are taken as.
LAYER = "mkldnn_rnn_layer"


def first_of_calls(trace: Sequence[Operation], places: Iterable[int]) -> tuple[int, ...]:
    """The first of some operations in each call: where a node that does the work of all of them is put.

    Parameters
    ----------
    trace : sequence of Operation
    places : iterable of int
        In order of time.
    """
    found: dict[object, int] = {}
    for place in places:
        found.setdefault((trace[place].module, trace[place].call), place)
    return tuple(found.values())


def unrolled(trace: Sequence[Operation], readers: Sequence[int]) -> frozenset[int]:
    """The operations of the steps of a recurrent layer, in all calls of it; empty if the run has it in one operation.

    Parameters
    ----------
    trace : sequence of Operation
    readers : sequence of int
        The operations that read the layer's weights, in order of time.

    Notes
    -----
    The last step is taken to be as long as the one before it, since a module may go on with work of its own. Where
    there is but one step, it lasts to the end of the call.
    """
    if any(not RECURRENT.isdisjoint(writes(trace[place].operator)) for place in readers):
        return frozenset()
    by_call: dict[object, list[int]] = defaultdict(list)
    for place in readers:
        by_call[trace[place].module, trace[place].call].append(place)
    return frozenset(place for places in by_call.values() for place in _steps(trace, places))


def _steps(trace: Sequence[Operation], readers: Sequence[int]) -> Iterable[int]:
    """From the first reader in one call to the end of the last step."""
    last = trace[readers[-1]]
    before = [place for place in readers[:-1] if trace[place][1:4] == last[1:4]]
    end = readers[-1] + (readers[-1] - before[-1] if before else len(trace))
    for place in range(readers[0], min(end, len(trace))):
        if (trace[place].module, trace[place].call) == (last.module, last.call):
            yield place
        elif place > readers[-1]:
            return


def layers(trace: Sequence[Operation], found: Iterable[Sequence[int]]) -> tuple[frozenset[int], frozenset[int]]:
    """The operations that stand for a layer's call each, and the others that are part of its steps.

    Parameters
    ----------
    trace : sequence of Operation
    found : iterable of sequence of int
        For each recurrent node the operations that read its weights, in order of time.
    """
    steps = [(readers, unrolled(trace, readers)) for readers in {tuple(places) for places in found if places}]
    whole = {place for readers, inner in steps if inner for place in first_of_calls(trace, readers)}
    return frozenset(whole), frozenset().union(*(inner for _, inner in steps)) - whole
