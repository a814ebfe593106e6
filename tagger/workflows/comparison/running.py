"""One comparison of a file with a recording: the run as it is, and the run with the reference's values in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from onnx_tagger.measures.comparison.distances import Values
from onnx_tagger.measures.comparison.metrics import Metric
from onnx_tagger.measures.comparison.recorded import Recording
from onnx_tagger.passes.base import Context
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.workflows.comparison.borders import Borders
from onnx_tagger.workflows.comparison.pairing import Pairing
from onnx_tagger.workflows.comparison.rounding import Roundings, noise_of_rounding, roundings, stored_moved
from onnx_tagger.workflows.comparison.tolerances import Tolerances, scale_names, scales_of

# So many bytes of tensors are fetched in one run.
_BATCH = 1 << 28

# Where the first module that differs is all that is asked for, so many tensors are looked at in one run.
_STEP = 24

# How often tensors are paired again, how many that are off are asked what they are computed of, and of how many each.
_ROUNDS, _ASKED, _TRIED = 5, 24, 8

# How often integers are moved anew to see whether that changes what is chosen by them, as the experts of a token are.
_DRAWS = 8

# An error that is so many times larger with some values than without them comes from them.
_MUCH = 5.0

_BLOCKED = "com.microsoft.nchwc"


@dataclass
class Trial:
    """A file beside a recording.

    Parameters
    ----------
    probe : Probe
    ctx : Context
        Of the same file, with its tags.
    recording : Recording
    feeds : mapping
        Input name to values.
    metric : Metric
    tolerance : float
        In float32.

    Attributes
    ----------
    accumulated, local : dict
        Tensor to its error in the run as it is, and with the reference's values in whatever it is computed of.
    wild : set of str
        Tensors that are not finite where the reference is, though what they are computed of is the reference's.
    coarse : dict
        Tensor of integers to the size of its steps, where a few numbers, such as those of a mask, take up its range.
    """

    probe: Probe
    ctx: Context
    recording: Recording
    feeds: Mapping[str, Values]
    metric: Metric
    tolerance: float
    accumulated: dict[str, float] = field(default_factory=dict)
    local: dict[str, float] = field(default_factory=dict)
    wild: set[str] = field(default_factory=set)
    coarse: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.borders = Borders.of(self.ctx, self.recording.spans)
        stored = {name: self.probe.weight(name) for name in scale_names(self.borders.nodes)}
        known = {name: value for name, value in stored.items() if value is not None}
        self.pairing = Pairing(self.recording, self.borders, self.metric, scales_of(self.borders.nodes, known))
        types = {tensor.name: tensor.data_type for tensor in self.probe.model.graph.initializer}
        axes = {tensor.name: len(tensor.dims) for tensor in self.probe.model.graph.initializer}
        self.tolerances = Tolerances(self.metric, self.tolerance, self.borders, types, axes)
        self._rounded: frozenset[str] = frozenset()
        self._cut_off: dict[str, float] = {}
        self._off: dict[str, float] = {}
        self._made = {each.tensor: each for each in roundings(self.borders.nodes)}
        self._scales = {name for each in self._made.values() for name in (each.scale, each.zero) if name}
        self._scalars = {name: self.probe.weight(name) for name in self._scales}

    def run_as_it_is(self) -> None:
        """Compare all tensors at borders in the run as it is, and pair them with the reference's values."""
        pairing = self.pairing
        blocked = _blocked(self.borders)
        self.probe.channels = {}
        if blocked:
            shapes: dict[str, tuple[int, ...]] = {}
            in_blocks = [name for name in pairing.matches if name in blocked]

            def look(name: str, found: Values) -> None:
                shapes[name] = found.shape

            self.probe.run(self.feeds, in_blocks, look, batches=list(self._batches(in_blocks)))
            self.probe.channels = pairing.channels(shapes)
        names = [name for name in pairing.matches if name not in blocked or name in self.probe.channels]
        for name in set(pairing.matches) - set(names):
            del pairing.matches[name]
        self.probe.run(self.feeds, names, pairing.look, batches=list(self._batches(names)))
        self._choose()

    def _choose(self, barred: Collection[tuple[str, int]] = ()) -> None:
        dtypes = {name: seen.dtype for name, seen in self.pairing.seen.items()}
        self.tolerances.settle(self.pairing.matches, dtypes)
        self._look_at_weights()
        self.pairing.choose(self.tolerances.near, barred)
        self.tolerances.settle(self.pairing.chosen, dtypes)
        self._look_at_weights()
        self.accumulated = {name: match.seen_error for name, match in self.pairing.chosen.items()}

    def _look_at_weights(self) -> None:
        """Compute the noise of the weights that are stored as integers."""
        for name in self.tolerances.stored():
            if name not in self.tolerances.noise:
                value = self.probe.weight(name)
                if value is not None:
                    scale = self.pairing.scales.get(name)
                    zero = scale.zero if scale is not None else None
                    self.tolerances.look(name, value, zero, self.tolerances.bits(name))

    def _batches(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in parts that memory holds."""
        batch: list[str] = []
        size = 0
        for name in names:
            several = self.pairing.matches.get(name, ())
            size += max((self.recording.values[match.value].nbytes for match in several), default=0)
            batch.append(name)
            if size > _BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def run_with_reference(self, *, stop_at_first: bool = False) -> None:
        """Compare all tensors once more, with the reference's values in whatever they are computed of."""
        barred: set[tuple[str, int]] = set()
        for _ in range(_ROUNDS):
            self._measure(stop_at_first)
            before = {(name, match.value) for name, match in self.pairing.chosen.items()}
            barred |= self._mistaken()
            self._choose(barred)
            if {(name, match.value) for name, match in self.pairing.chosen.items()} == before:
                break
        else:
            self._measure(stop_at_first)

    def _measure(self, stop_at_first: bool) -> None:
        self.local, self.wild, self._cut_off, self._off = {}, set(), {}, {}
        self.tolerances.measured, self.tolerances.jumps = {}, {}
        points = list(self.pairing.chosen)
        self._rounded = frozenset(self.tolerances.rounded())
        given = self.pairing.given(points)
        if not stop_at_first:
            self._compare(points, given)
            self._forgive()
            return
        late = [place for place, name in enumerate(points) if self.accumulated[name] > self.tolerances.near(name)]
        for start in range(late[0] if late else len(points), len(points), _STEP):
            names = points[start : start + _STEP]
            self._compare(names, given)
            if any(self.differs(name) for name in names):
                return

    def _compare(self, points: Sequence[str], given: Mapping[str, Values]) -> None:
        """Compare some tensors, computed of values that are given, and find out what rounding does to them."""
        behind = [name for name in points if self.tolerances.kind(name) == "quantised"]
        rounding = Roundings(self._made)
        for name, scale in self.pairing.scales.items() if behind else ():
            if name in given and name not in self._made:
                rounding.look(name, given[name], scale.scale, scale.zero)
        made = {name for name in (*self._made, *self._scales) if behind and name in self.borders.makers}
        names = sorted({*points, *self._rounded, *made}, key=lambda name: (self._rank(name), name in self._made))

        def look(name: str, found: Values) -> None:
            if name in self._scales:
                self._scalars[name] = found
            if name in self._made:
                each = self._made[name]
                integers = given.get(name, found)
                rounding.look(name, integers, self._scalars.get(each.scale), self._scalars.get(each.zero))
            self._look(name, found)

        self.probe.run(self.feeds, names, look, given=given, batches=list(self._batches(names)))
        self.coarse |= rounding.coarse
        if behind:
            self._round_otherwise(behind, given, rounding)
            doubtful = [name for name in behind if self.differs(name) and name not in self.wild][:_ASKED]
            if doubtful:
                self._look_for_jumps(doubtful, given, rounding)
        for name in points:
            self._doubt(name)

    def _rank(self, name: str) -> int:
        return self.borders.ranks[name]

    def _round_otherwise(self, points: Sequence[str], given: Mapping[str, Values], rounding: Roundings) -> None:
        """Measure the noise of rounding at tensors: all integers are moved by a step, then by the same back."""
        errors: dict[str, list[float]] = defaultdict(list)

        def look(name: str, found: Values) -> None:
            errors[name].append(self.pairing.local(name, found, "sqnr")[0])

        for sign in (1, -1):
            self.probe.run(
                self.feeds,
                points,
                look,
                given=rounding.given(sign, given),
                nudged=rounding.nudges(sign),
                stored=self._stored_moved(sign),
                batches=list(self._batches(points)),
            )
        for name in points:
            self.tolerances.measured[name] = noise_of_rounding(self._off[name], errors[name])

    def _look_for_jumps(self, points: Sequence[str], given: Mapping[str, Values], rounding: Roundings) -> None:
        """Allow what a step of rounding does where it changes which numbers are taken, which no noise describes."""
        plain: dict[str, Values] = {}
        self.probe.run(self.feeds, points, plain.__setitem__, given=given)
        largest: dict[str, float] = defaultdict(float)

        def look(name: str, found: Values) -> None:
            off = self.pairing.apart(name, plain[name], found)
            largest[name] = max(largest[name], off if np.isfinite(off) else 0.0)

        for draw in range(_DRAWS):
            other = rounding.redrawn(draw + 1)
            moved, stored = other.nudges(1), self._stored_moved(1, draw + 1)
            self.probe.run(self.feeds, points, look, given=other.given(1, given), nudged=moved, stored=stored)
        self.tolerances.jumps |= largest

    def _stored_moved(self, sign: int, seed: int = 0) -> dict[str, Values]:
        """The weights that are stored as integers, each moved by a step."""
        random = np.random.default_rng(seed)
        stored = ((name, self.probe.weight(name)) for name in self.tolerances.stored())
        return {
            name: stored_moved(value, self.tolerances.bits(name), sign, random)
            for name, value in stored
            if value is not None and value.dtype.itemsize == 1
        }

    def _forgive(self) -> None:
        """Let integer tensors pass that are off by their range alone, if whatever is computed of them is right.

        The range of integers does the work of a Relu behind it.
        """
        if not self._cut_off:
            return
        computed: dict[str, list[str]] = defaultdict(list)
        for name, several in self._feeding().items():
            for one in several - {name}:
                computed[one].append(name)
        # From the last one on: what is computed of a tensor may have to be forgiven itself.
        for name in sorted(self._cut_off, key=self._rank, reverse=True):
            if not any(self.differs(other) for other in computed[name]):
                self.local[name] = self._cut_off[name]

    def _look(self, name: str, found: Values) -> None:
        if name in self._rounded:
            scale, made = self.pairing.scales.get(name), self._made.get(name)
            zero = scale.zero if scale is not None else self._scalars.get(made.zero) if made is not None else None
            self.tolerances.look(name, found, zero)
        if name in self.pairing.chosen:
            self.local[name], wild = self.pairing.local(name, found)
            self._off[name] = self.local[name]
            if self.metric != "sqnr" and self.tolerances.kind(name) == "quantised":
                self._off[name], _ = self.pairing.local(name, found, "sqnr")
            if wild:
                self.wild.add(name)
            if self._may_differ(name):
                self.pairing.look_again(name, found)
                self._cut_off[name] = self.pairing.within_range(name, found)

    def _may_differ(self, name: str) -> bool:
        """Whether a tensor is off by more than its type explains; what rounding does to it is not known yet."""
        return name in self.wild or self.local[name] > self.tolerances.floor(name)

    def _doubt(self, name: str) -> None:
        """Forget how far a tensor is off within its range, unless that makes all the difference."""
        if not (self.differs(name) and self._cut_off.get(name, np.inf) <= self.tolerances.allowed(name)):
            self._cut_off.pop(name, None)

    def differs(self, name: str) -> bool:
        """Whether a tensor's own error is larger than it may be."""
        return name in self.wild or self.local.get(name, 0.0) > self.tolerances.allowed(name)

    # --- pairs in doubt ---

    def _feeding(self) -> dict[str, set[str]]:
        """Each point to the points that it is computed of directly."""
        chosen = self.pairing.chosen
        found: dict[str, set[str]] = defaultdict(set)
        for place, points in self.borders.served(list(chosen)).items():
            read = {name for name in self.borders.reading.get(place, ()) if name in chosen}
            for point in points if read else ():
                found[point] |= read
        return found

    def _mistaken(self) -> set[tuple[str, int]]:
        """Pairs that are wrong: with their values, what is computed of the tensors is off, and without them it is not.

        A tensor that is wrong by itself stays so whatever it is computed of. One that is right where the tensors in
        front of it have the file's own values, or nearly so, and off where they have the reference's, was given the
        wrong ones.
        """
        bad = [name for name in self.local if self.differs(name)]
        found: set[str] = set()
        feeding = self._feeding() if bad else {}
        asked = [(name, doubted) for name in bad if (doubted := self._doubted(name, feeding))]
        for name, doubted in asked[:_ASKED]:
            wider = doubted.union(*(self._doubted(other, feeding) for other in doubted))
            for several in (doubted, wider) if wider > doubted else (doubted,):
                if not several or several <= found:
                    continue
                least = max(self.tolerances.allowed(name), _MUCH * self._error(name, several))
                if self.local[name] > least:
                    found |= {one for one in several if self._error(name, several - {one}) > least}
                    break
        return {(name, self.pairing.chosen[name].value) for name in found}

    def _doubted(self, name: str, feeding: Mapping[str, set[str]]) -> set[str]:
        """The points in front of another one that do not agree in the run as it is, to the last digits."""
        found = [other for other in feeding.get(name, ()) if self.accumulated[other] > self.tolerance and other != name]
        return set(sorted(found, key=self.borders.ranks.__getitem__)[-_TRIED:])

    def _error(self, name: str, free: Collection[str]) -> float:
        """How far a tensor is off where some of those in front of it have the file's own values."""
        given = self.pairing.given([other for other in self.pairing.chosen if other not in free])
        errors: list[float] = []

        def look(_: str, found: Values) -> None:
            error, wild = self.pairing.local(name, found)
            errors.append(float("inf") if wild else error)

        self.probe.run(self.feeds, [name], look, given=given)
        return max(errors, default=float("inf"))


def _blocked(borders: Borders) -> set[str]:
    """Tensors whose channels lie in blocks, as onnxruntime keeps them for the CPU: through Add and Relu, too."""
    found: set[str] = set()
    for place in borders.order:
        node = borders.nodes[place]
        if node.op_type == "ReorderOutput":
            continue
        if node.domain == _BLOCKED or any(name in found for name in borders.reading.get(place, ())):
            found.update(name for name in node.output if name)
    return found
