"""The captured run of a map, looked up by module, by call and by weight. Which node does what is for `replay`."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.model.metadata import Tag
from onnx_tagger.passes.base import Analysis, Context, Touches
from onnx_tagger.passes.replay.complexes import named_trace
from onnx_tagger.passes.replay.consistency import numbered
from onnx_tagger.passes.replay.operators import composite, writes

_Places = tuple[int, ...]


class Run:
    """The trace of a map, looked up by module, by call and by weight.

    Parameters
    ----------
    trace : sequence of Operation
    """

    def __init__(self, trace: Sequence[Operation]) -> None:
        self.trace = trace
        self.operators = {operation.operator for operation in trace}
        self.of_call: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
        self.of_module: dict[str, list[int]] = defaultdict(list)
        self.of_weight: dict[str, list[int]] = defaultdict(list)
        self.known: dict[object, _Places] = {}
        self.numbers = numbered(trace)
        firsts = {number: place for place, number in reversed([*enumerate(self.numbers)])}
        self.repeats = {place for place, number in enumerate(self.numbers) if firsts[number] != place}
        for place, operation in enumerate(self.trace):
            self.of_module[operation.module].append(place)
            self.of_call[operation.module, operation.call].append(place)
            if not operation.view:
                for name in operation.weights:
                    self.of_weight[name].append(place)

    def fits(self, place: int, operator: str) -> bool:
        """Whether an operation is usually written with nodes of an operator."""
        known = writes(self.trace[place].operator)
        return not known or operator in known or composite(operator)

    def reading(self, names: frozenset[str]) -> _Places:
        """The operations that read one of some weights, in order of time."""
        if names not in self.known:
            self.known[names] = tuple(sorted({place for name in names for place in self.of_weight.get(name, ())}))
        return self.known[names]

    def tagged(self, tag: Tag) -> _Places:
        """The operations of a tag's modules, or of their calls that it names, in order of time."""
        key = (tag.modules, tag.call)
        if key not in self.known:
            pairs = ((path, (call,)) for path in tag.modules for call in tag.call)
            calls = [self.of_call[pair] for pair in pairs if pair in self.of_call]
            found = calls or [self.of_module.get(path, []) for path in tag.modules]
            self.known[key] = tuple(sorted({place for places in found for place in places}))
        return self.known[key]

    def possible(self, operator: str, tag: Tag | None, read: Sequence[frozenset[str]]) -> _Places | None:
        """The operations that a node may be part of by its tag and the weights that it reads; None if both are mute.

        Where none of those that read a weight is written with such nodes, an exporter has worked it out beforehand; but
        if that is so of several weights, the node does what a whole series of operations did, as a recurrent layer.
        """
        key = (operator, tag.modules if tag is not None else None, tag.call if tag is not None else (), tuple(read))
        if key not in self.known:
            claims = [self.tagged(tag)] if tag is not None else []
            for names in read:
                claims.append(tuple(place for place in self.reading(names) if self.fits(place, operator)))
            if len(read) > 1 and not any(claims):
                claims = [self.reading(frozenset().union(*read))]
            claims = sorted((claim for claim in claims if claim), key=len)
            first = claims[0] if claims else ()
            self.known[key] = tuple(place for place in first if all(_holds(claim, place) for claim in claims[1:]))
        return self.known[key] or None


def _holds(places: _Places, place: int) -> bool:
    """Whether a place is among ordered ones."""
    index = bisect_left(places, place)
    return index < len(places) and places[index] == place


class CapturedRun(Analysis[Run]):
    """The run of the map, looked up; empty if the map holds none."""

    reads = Touches.NOTHING

    def compute(self, ctx: Context) -> Run:
        """Index the trace."""
        tree = ctx.hierarchy
        return Run(named_trace(tree) if tree is not None else ())
