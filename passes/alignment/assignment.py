"""Which saved nodes of a region each new node stands for: an assignment of the saved nodes to the new ones.

A region is what two graphs compute in different ways between the same tensors. Some of its nodes are identified
by a weight, a name, the tensor that they make or an operator that occurs once. The others are assigned between these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import reduce
from operator import and_, or_

from onnx_tagger.passes.replay.operators import AFFINE, CLAMPS, LINEAR, begins_with, saturates, standard

# Predecessors are kept as integers with a bit for each node: a larger region is not assigned.
MOST_NODES = 2_000


class Kind(IntEnum):
    """What a node is for: computing, moving what is computed, or neither (constants, sizes, conversions)."""

    WORK = 0
    MOVE = 1
    IDLE = 2


@dataclass(frozen=True, slots=True)
class OldNode:
    """A node that the saved graph has in a region.

    Attributes
    ----------
    operator : str
        With its domain, if that is not the standard's.
    kind : Kind
    sources : sequence of int
        Nodes of the region whose results it reads, by their places.
    weights : frozenset
        What tells each of the weights that it reads.
    """

    operator: str
    kind: Kind
    sources: Sequence[int]
    weights: frozenset[Hashable]


@dataclass(slots=True)
class NewNode:
    """A node that the new graph has in a region.

    Attributes
    ----------
    operator, kind, sources, weights
        As of `OldNode`.
    may : int
        The places of the old nodes whose work it may do, as bits: its results go where theirs went.
    makes : frozenset of int
        Places of the old nodes that make the same tensors.
    converts : bool
        Whether it only stores in another way what it reads.
    pads : bool
        Whether it pads what it reads, itself or on the way.
    altered : bool
        Whether it multiplies by a weight that is not the saved graph's: a tool has worked something into it.
    plain : bool
        Whether it computes with no constants but those that the saved graph knows.
    idle : bool
        Whether it only prepares constants or sizes.
    parts : bool
        Whether it parts what it reads into several tensors.
    does : set of int
        Places of the old nodes that it is known to do the work of.
    """

    operator: str
    kind: Kind
    sources: Sequence[int]
    weights: frozenset[Hashable]
    may: int
    makes: frozenset[int] = frozenset()
    converts: bool = False
    parts: bool = False
    pads: bool = False
    idle: bool = False
    altered: bool = False
    plain: bool = False
    does: set[int] = field(default_factory=set)


def assign(new: Sequence[NewNode], old: Sequence[OldNode]) -> list[frozenset[int]]:
    """The positions of the old nodes that each new node stands for; none if nothing shows it.

    Parameters
    ----------
    new, old : sequence
        Each in topological order.
    """
    return _Assignment(new, old).result()


def telling(places: Iterable[int], old: Sequence[OldNode]) -> frozenset[int]:
    """Of some old nodes those that compute; if there are none, those that move; else all."""
    known = list(places)
    least = min((old[place].kind for place in known), default=Kind.IDLE)
    return frozenset(place for place in known if old[place].kind == least)


class _Assignment:
    """One region."""

    def __init__(self, new: Sequence[NewNode], old: Sequence[OldNode]) -> None:
        self.new, self.old = new, old
        self.readers: list[list[int]] = [[] for _ in new]
        for place, node in enumerate(new):
            for source in node.sources:
                self.readers[source].append(place)
        # Itself and all before it, itself and all behind it, as bits.
        self.before, self.behind = [0] * len(new), [0] * len(new)
        for place, node in enumerate(new):
            self.before[place] = 1 << place
            for source in node.sources:
                self.before[place] |= self.before[source]
        for place in range(len(new) - 1, -1, -1):
            self.behind[place] = 1 << place
            for reader in self.readers[place]:
                self.behind[place] |= self.behind[reader]
        self.workers = sum(1 << place for place, node in enumerate(new) if node.kind is Kind.WORK)
        self.holders: dict[int, list[int]] = defaultdict(list)
        for place, node in enumerate(new):
            if node.kind is Kind.WORK:
                node.does.update(node.makes)
            for known in node.does:
                self.holders[known].append(place)

    def result(self) -> list[frozenset[int]]:
        """What each new node does."""
        self._by_weights()
        self._by_operator()
        self._copies()
        rooms = self._rooms()
        left = [
            place for place in range(len(self.old)) if self.old[place].kind is Kind.WORK and place not in self.holders
        ]
        ahead, back = self._nearest()
        found = [(place, self._fitting(place, rooms[place], ahead[place], back[place])) for place in left]
        for place, holders in found:
            for holder in holders:
                self.new[holder].does.add(place)
        self._moves(rooms)
        return self._settled()

    def _hold(self, place: int, known: int) -> None:
        if known not in self.new[place].does:
            self.new[place].does.add(known)
            self.holders[known].append(place)

    def _by_weights(self) -> None:
        """The readers of a weight do what its old readers did: each one of them, or one all, or all of them one."""
        mine, theirs = _readers(self.new), _readers(self.old)
        several = []
        for weight, places in mine.items():
            known = theirs.get(weight, [])
            if len(places) == len(known):
                for place, one in zip(places, known, strict=True):
                    self._hold(place, one)
            elif len(places) == 1 or len(known) == 1:
                several += [(place, one) for place in places for one in known]
        # Tools store some weights once for each reader: what another weight tells of these counts for more.
        for place, one in [pair for pair in several if pair[1] not in self.holders]:
            self._hold(place, one)

    def _by_operator(self) -> None:
        """The nodes of an operator do what the old ones did that were called so, if there are as many of both."""
        rooms = self._rooms()
        mine: dict[str, list[int]] = defaultdict(list)
        theirs: dict[str, list[int]] = defaultdict(list)
        for place, node in enumerate(self.new):
            if node.kind is Kind.WORK:
                mine[node.operator].append(place)
        for place, old in enumerate(self.old):
            if old.kind is Kind.WORK and place not in self.holders:
                theirs[old.operator].append(place)
        for other, known in theirs.items():
            fused = [place for operator in mine if begins_with(operator, other) for place in mine[operator]]
            for places in (mine.get(other, []), sorted(fused)):
                open_ = [place for place in places if not self._holds(place, other)]
                left = [one for one in known if one not in self.holders]
                if len(left) == len(open_):
                    pairs = zip(_by_depth(self.new, open_), _by_depth(self.old, left), strict=True)
                    for place, one in pairs:
                        if self.new[place].may >> one & rooms[one] >> place & 1:
                            self._hold(place, one)

    def _copies(self) -> None:
        """Of old nodes that do the same of the same, tools keep one."""
        first: dict[tuple[object, ...], int] = {}
        same = list(range(len(self.old)))
        for place, node in enumerate(self.old):
            key = (node.operator, tuple(same[source] for source in node.sources), node.weights)
            if node.kind is not Kind.WORK or not node.sources:
                continue
            same[place] = first.setdefault(key, place)
            if same[place] != place and place not in self.holders:
                for holder in self.holders.get(same[place], ()):
                    self._hold(holder, place)

    def _holds(self, place: int, operator: str) -> bool:
        """Whether a new node is known to do an old one of an operator."""
        return any(self.old[known].operator == operator for known in self.new[place].does)

    def _is_one(self, place: int) -> bool:
        """Whether a new node is an old one as it was."""
        return self._holds(place, self.new[place].operator)

    def _rooms(self) -> list[int]:
        """For each old node the new ones that come neither before nor behind what they would have to, as bits."""
        everything = (1 << len(self.new)) - 1
        rooms = [everything] * len(self.old)
        for place, node in enumerate(self.old):
            for source in node.sources:
                rooms[place] &= self._beside(source, self.behind) if source in self.holders else rooms[source]
        back = [everything] * len(self.old)
        for place in range(len(self.old) - 1, -1, -1):
            mark = self._beside(place, self.before) if place in self.holders else back[place]
            for source in self.old[place].sources:
                back[source] &= mark
        return [room & other for room, other in zip(rooms, back, strict=True)]

    def _beside(self, known: int, masks: Sequence[int]) -> int:
        """What all holders of an old node have before or behind them; of copies, what one of them has."""
        holders = [masks[place] for place in self.holders[known]]
        return reduce(and_, holders) or reduce(or_, holders)

    def _nearest(self) -> tuple[list[int], list[int]]:
        """For each old node the new ones that do the next known work behind it, and before it, as bits."""
        ahead, back = [0] * len(self.old), [0] * len(self.old)
        marks = [sum(1 << holder for holder in self.holders.get(place, ())) for place in range(len(self.old))]
        for place in range(len(self.old) - 1, -1, -1):
            for source in self.old[place].sources:
                ahead[source] |= marks[place] or ahead[place]
        for place, node in enumerate(self.old):
            for source in node.sources:
                back[place] |= marks[source] or back[source]
        return ahead, back

    def _fitting(self, place: int, room: int, ahead: int, back: int) -> list[int]:
        """The new nodes that do the work of an old one which none of them tells to be its own."""
        candidates = [one for one in _bits(room & self.workers) if self.new[one].may >> place & 1]
        if self.old[place].operator == "Pad":
            # The next operator pads on the way; where nothing was to be added, tools drop it.
            candidates = [one for one in candidates if self.new[one].pads and ahead >> one & 1]
        if self.old[place].operator in AFFINE:
            if folding := self._folding(candidates, ahead, back):
                return folding
            if all(self.new[one].plain and self._is_one(one) for one in candidates):
                # A scale by 1 that was dropped: nobody does its work.
                return []
        if self.old[place].operator in CLAMPS and (clamping := self._clamping(place, room, back)):
            return clamping
        # An operator of the standard does what the standard says; one that a tool brings along may do more, of what
        # lies next to it.
        near = ahead | back
        open_ = [one for one in candidates if not self.new[one].does or (near >> one & 1 and self._fuses(one))]
        # What multiplies by a weight takes in what comes behind it; anything else, as a norm, what comes before.
        likely = [one for one in open_ if not self.new[one].does or (back if self._linear(one) else ahead) >> one & 1]
        return likely or open_ or [one for one in candidates if not self._is_one(one)] or candidates[-1:]

    def _folding(self, candidates: Sequence[int], ahead: int, back: int) -> list[int]:
        """The new node into whose weights a scale or a shift was worked: what comes before it rather than behind."""
        altered = [one for one in candidates if self.new[one].altered]
        before = [one for one in altered if back >> one & 1]
        return before or [one for one in altered if ahead >> one & 1]

    def _clamping(self, place: int, room: int, back: int) -> list[int]:
        """The new nodes that hold a result within bounds by making small integers of it."""
        able = [one for one in _bits(room) if saturates(self.new[one].operator) and self.new[one].may >> place & 1]
        # An operator that does the work before gives small integers back; a converter reads what that has made.
        working = [one for one in able if back >> one & 1]
        return working or [one for one in able if any(back >> source & 1 for source in self._plain(one))]

    def _plain(self, place: int) -> list[int]:
        """The sources of a node that do no more than the standard says."""
        return [source for source in self.new[place].sources if standard(self.new[source].operator)]

    def _linear(self, place: int) -> bool:
        return any(self.old[known].operator in LINEAR for known in self.new[place].does)

    def _fuses(self, place: int) -> bool:
        return not standard(self.new[place].operator) and not self._is_one(place)

    def _moves(self, rooms: Sequence[int]) -> None:
        """Moves are the old moves of the same operator, if these come between the same nodes; constants likewise."""
        theirs: dict[tuple[Kind, str], list[int]] = defaultdict(list)
        for place, old in enumerate(self.old):
            if old.kind is not Kind.WORK and place not in self.holders:
                theirs[old.kind, old.operator].append(place)
        for place, node in enumerate(self.new):
            if node.kind is Kind.WORK or node.does:
                continue
            for one in theirs.get((node.kind, node.operator), ()):
                if node.may >> one & rooms[one] >> place & 1:
                    self._hold(place, one)
                    theirs[node.kind, node.operator].remove(one)
                    break

    def _settled(self) -> list[frozenset[int]]:
        """What each node does; what a tool inserted does what its neighbours do for which it was inserted."""
        found = [telling(node.does or node.makes, self.old) for node in self.new]
        none: tuple[frozenset[int], bool] = (frozenset(), False)
        ahead, back = [none] * len(self.new), [none] * len(self.new)
        for place in range(len(self.new) - 1, -1, -1):
            ahead[place] = self._joined(place, found, (ahead[reader] for reader in self.readers[place]))
        for place, node in enumerate(self.new):
            back[place] = self._joined(place, found, (back[source] for source in node.sources))
        for place, node in enumerate(self.new):
            if node.converts and found[place]:
                made = frozenset[int]().union(*(found[source] for source in node.sources))
                found[place] |= self._last(made) if found[place] < made else frozenset()
            elif node.parts and node.kind is Kind.MOVE:
                found[place] |= frozenset().union(*(found[source] for source in node.sources))
            if not found[place]:
                (reading, fused), (making, other) = ahead[place], back[place]
                first_making = making and (node.converts or not reading or (other and not fused))
                ends = (making, reading) if node.idle else (self._last(making), self._first(reading))
                found[place] = ends[0] if first_making else ends[1]
        return [does or telling(_bits(node.may), self.old) for does, node in zip(found, self.new, strict=True)]

    def _joined(
        self, place: int, found: Sequence[frozenset[int]], beside: Iterable[tuple[frozenset[int], bool]]
    ) -> tuple[frozenset[int], bool]:
        """What a node does or else its neighbours on one side, and whether a fused one is among them."""
        if found[place]:
            return found[place], self.new[place].kind is Kind.WORK and not self._is_one(place)
        known = [(does, fused) for does, fused in beside if does]
        return frozenset().union(*(does for does, _ in known)), any(fused for _, fused in known)

    def _last(self, does: frozenset[int]) -> frozenset[int]:
        """Of old nodes that do one piece of work those whose results go elsewhere: what is moved behind them."""
        return self._without(does, {source for place in does for source in self.old[place].sources}) or does

    def _first(self, does: frozenset[int]) -> frozenset[int]:
        """Of old nodes that do one piece of work those that no other of them comes before."""
        return self._without(does, {place for place in does if not does.isdisjoint(self.old[place].sources)}) or does

    def _without(self, does: frozenset[int], inner: Collection[int]) -> frozenset[int]:
        return frozenset(place for place in does if place not in inner)


def _by_depth(nodes: Sequence[NewNode | OldNode], places: Sequence[int]) -> list[int]:
    """Places by how many of them come before each at most, then by how many come behind, those with most first.

    Tools write branches in any order; what comes before what they keep.
    """
    if len(places) < 2:
        return list(places)
    counted = [0] * len(nodes)
    for place in places:
        counted[place] = 1
    depth, height = counted[:], counted[:]
    for place, node in enumerate(nodes):
        depth[place] += max((depth[source] for source in node.sources), default=0)
    for place in range(len(nodes) - 1, -1, -1):
        for source in nodes[place].sources:
            height[source] = max(height[source], height[place] + counted[source])
    return sorted(places, key=lambda place: (depth[place], -height[place], place))


def _readers(nodes: Iterable[NewNode | OldNode]) -> dict[Hashable, list[int]]:
    """What tells a weight to the places of the nodes that compute with it."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for weight in node.weights if node.kind is Kind.WORK else ():
            found[weight].append(place)
    return found


def _bits(mask: int) -> Iterator[int]:
    """The places of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
