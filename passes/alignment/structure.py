"""Tensors of two graphs that are the same under different names: found by what makes and reads them, and by weights.

Equal operators on equal inputs give equal outputs. So the search goes forwards from known tensors through equal nodes,
and backwards from a known tensor to the inputs of its maker. It ends where a tool has fused nodes, and starts again at
the next node that reads a known weight. A tensor that is found is a cut point like any other.

Forwards it is value numbering: Cocke and Schwartz, "Programming languages and their compilers", 1970.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

from onnx_tagger.passes.alignment.parts import COMMUTATIVE, Part, PartNode
from onnx_tagger.passes.analyses.sizes import size_inputs
from onnx_tagger.passes.replay.operators import LAYOUTS, SAME_VALUE, begins_with

# What is found in one round leads on in the next; a few are enough.
_ROUNDS = 8

# A weight that as many nodes read does not tell which of them one is.
_MOST_ALIKE = 64

# So many moves in a row are looked behind.
_MOST_MOVES = 8

# A node, by its place, and the input by which it reads something.
_Reader = tuple[int, int]


class Structure:
    """Two graphs side by side.

    Parameters
    ----------
    new, saved : Part
    same : mapping
        New tensor to the saved one that it is known to be.
    renewed : collection of str
        New tensors of which it is known that they are not the saved ones of their names.
    """

    def __init__(self, new: Part, saved: Part, same: Mapping[str, str], renewed: Collection[str] = frozenset()) -> None:
        self.new, self.saved, self.renewed = new, saved, renewed
        self.same = dict(same)
        self.alive = set(self.same.values())
        self.paired: dict[int, int] = {}
        self.taken: set[int] = set()
        self.by_order = False

    def tensors(self) -> dict[str, str]:
        """New tensors to the saved ones that they are; those that were known only if they turn out to be others."""
        before = dict(self.same)
        for _ in range(_ROUNDS):
            count = len(self.same) + len(self.paired)
            self._forwards()
            self._by_weights()
            self._backwards()
            more = len(self.same) + len(self.paired) > count
            if self._complete() or not (more or not self.by_order):
                break
            # Order tells alike nodes apart only where nothing else does.
            self.by_order = not more
        return {name: known for name, known in self.same.items() if before.get(name) != known}

    def _complete(self) -> bool:
        """Whether every tensor that the new nodes make is known."""
        return all(name in self.same for node in self.new.nodes for name in node.outputs if name)

    # --- forwards -----------------------------------------------------------------------------------------------------

    def _forwards(self) -> None:
        """Pair the nodes that do the same of the same."""
        known: dict[Hashable, int] = {}
        leaves = {name: name for name in self.alive}
        saved = self.saved.numbers(leaves, known)
        places: dict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(saved):
            if place not in self.taken and place not in self.saved.constants:
                places[number].append(place)
        mine: dict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(self.new.numbers(self.same, known)):
            if place not in self.paired and number in places:
                mine[number].append(place)
        for number, found in mine.items():
            for place, other in self._matched(found, places[number]):
                if not self._contradict(place, other):
                    self._pair(place, other)

    def _matched(self, found: Sequence[int], others: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Which of several alike is which: by the weights that they read, else by their order."""
        if len(found) == 1 and len(others) == 1:
            yield found[0], others[0]
            return
        plain = [place for place in found if not self.new.nodes[place].weights]
        known = [place for place in others if not self.saved.nodes[place].weights]
        # One may stand for several only if all of them are the same module's.
        merged = len(plain) == 1 and len({self.saved.nodes[place].said for place in known}) == 1
        if self.by_order and (len(plain) == len(known) or merged):
            yield from zip(plain, known, strict=False)
        by_key: dict[Hashable, set[int]] = defaultdict(set)
        for place in others:
            for keys in self.saved.nodes[place].weights.values():
                for key in keys:
                    by_key[key].add(place)
        for place in found:
            slots = self.new.nodes[place].weights.values()
            # What very many share tells nothing.
            readers = [[by_key.get(key, set()) for key in keys] for keys in slots]
            telling = [[group for group in groups if 0 < len(group) < _MOST_ALIKE] for groups in readers]
            fitting = [set().union(*groups) for groups in telling if groups]
            left = sorted(set.intersection(*fitting) - self.taken) if fitting else []
            if left:
                yield place, left[0]

    def _contradict(self, place: int, other: int) -> bool:
        """Whether two nodes read different weights at the same input, or the one bears the name of a third one."""
        node, known = self.new.nodes[place], self.saved.nodes[other]
        if node.altered:
            return True
        named = self.saved.named.get(node.name)
        if named is not None and named is not known and named.operator == node.operator:
            return True
        return any(keys.isdisjoint(known.weights[slot]) for slot, keys in node.weights.items() if slot in known.weights)

    def _pair(self, place: int, other: int) -> None:
        """Take two nodes for the same, and what they make."""
        self.paired[place] = other
        self.taken.add(other)
        for name, known in zip(self.new.nodes[place].outputs, self.saved.nodes[other].outputs, strict=False):
            self._equate(name, known)

    def _equate(self, name: str, known: str) -> None:
        """Take two tensors for the same, unless something is known of one of them."""
        if not known or known in self.alive:
            return
        # What a tool has only stored in another way is looked behind: it may insert that anywhere.
        for _ in range(_MOST_MOVES):
            node = self.new.source(name)
            if node is None or node.op_type not in SAME_VALUE or not node.inputs:
                break
            if node.operator == self.saved.kind(known):
                break
            name = node.inputs[0]
        if name == known and name in self.renewed:
            return
        if name and name not in self.same and name not in self.new.stored:
            self.same[name] = known
            self.alive.add(known)

    # --- by weights ---------------------------------------------------------------------------------------------------

    def _by_weights(self) -> None:
        """Equate what is read and made by the nodes that read the same weight, as far as they do the same with it."""
        mine, theirs = self.new.by_weight(), self.saved.by_weight()
        for weight, by_operator in mine.items():
            for operator, places in by_operator.items():
                for other, others in theirs.get(weight, {}).items():
                    alone = len(places) == len(others) == 1
                    if begins_with(operator, other) and (alone or (self.by_order and len(places) == len(others))):
                        for (place, slot), (known, there) in self._told_apart(places, others):
                            if slot == there:
                                self._anchor(place, known)

    def _told_apart(self, places: Sequence[_Reader], others: Sequence[_Reader]) -> Iterator[tuple[_Reader, _Reader]]:
        """Readers of one weight and those that they are: by what else they read, if it is known, else by their order.

        Tools write branches in any order.
        """
        open_ = dict.fromkeys(others)
        by_read: dict[str, list[_Reader]] = defaultdict(list)
        for other in others:
            node = self.saved.nodes[other[0]]
            for slot in self.saved.data(node):
                by_read[node.inputs[slot]].append(other)
        left: list[_Reader] = []
        for reader in places:
            node = self.new.nodes[reader[0]]
            read = [self._known_behind(node.inputs[slot]) for slot in self.new.data(node)]
            told = [other for name in read if name for other in by_read.get(name, ()) if other in open_]
            if len(set(told)) == 1:
                del open_[told[0]]
                yield reader, told[0]
            else:
                left.append(reader)
        yield from zip(left, open_, strict=True)

    def _known_behind(self, name: str) -> str | None:
        """The saved tensor that a tensor is, but for moves that a tool may have put before a reader."""
        for _ in range(_MOST_MOVES):
            if name in self.same:
                return self.same[name]
            node = self.new.source(name)
            if node is None or not node.inputs or (node.op_type not in LAYOUTS and node.op_type not in SAME_VALUE):
                return None
            name = node.inputs[0]
        return None

    def _anchor(self, place: int, other: int) -> None:
        """Equate what two nodes read besides the same weight, and what they make if that is read alike."""
        node, known = self.new.nodes[place], self.saved.nodes[other]
        theirs = self.saved.data(known)
        for slot in self.new.data(node):
            if slot in theirs:
                self._equate_read(node.inputs[slot], known.inputs[slot])
        open_ = place not in self.paired and other not in self.taken
        both = open_ and node.operator == known.operator and node.outputs and known.outputs
        if both and self._read_alike(node.outputs[0], known.outputs[0]):
            self._pair(place, other)

    def _read_alike(self, name: str, known: str) -> bool:
        """Whether an operator that reads the one tensor reads the other as well."""
        mine = {self.new.nodes[place].operator for place in self.new.readers.get(name, ())}
        theirs = {self.saved.nodes[place].operator for place in self.saved.readers.get(known, ())}
        return bool(mine & theirs) or (name in self.new.outputs and known in self.saved.outputs)

    def _equate_read(self, name: str, known: str) -> None:
        """Equate what two nodes read; what a tool has only moved or stored in another way is looked behind."""
        if known in self.alive:
            return
        chain: list[str] = []
        while len(chain) < _MOST_MOVES and name not in self.same:
            chain.append(name)
            node = self.new.source(name)
            if node is None or not node.inputs or (node.op_type not in LAYOUTS and node.op_type not in SAME_VALUE):
                break
            name = node.inputs[0]
        kind, kinds = self.saved.kind(known), {one: self.new.kind(one) for one in chain}
        alike = [one for one in chain if kinds[one] == kind]
        # If the saved tensor is no moved one, a move before it was inserted.
        moves = SAME_VALUE if kind.rpartition("::")[2] in LAYOUTS else SAME_VALUE | LAYOUTS
        unmoved = [one for one in chain if kinds[one].rpartition("::")[2] not in moves]
        for found in (alike or unmoved or chain)[:1]:
            self._equate(found, known)

    # --- backwards ----------------------------------------------------------------------------------------------------

    def _backwards(self) -> None:
        """Equate what two nodes read that make the same by the same operator."""
        for place in range(len(self.new.nodes) - 1, -1, -1):
            node = self.new.nodes[place]
            other = self.paired.get(place)
            if other is None:
                makers = {self.saved.maker.get(self.same.get(name, "")) for name in node.outputs if name}
                other = makers.pop() if len(makers) == 1 else None
            if other is None or self.saved.nodes[other].operator != node.operator:
                continue
            known = self.saved.nodes[other]
            mine = self.new.data(node)
            if all(self.same.get(node.inputs[slot]) == known.inputs[slot] for slot in mine if slot < len(known.inputs)):
                continue
            theirs = self.saved.data(known)
            pairs = [(slot, slot) for slot in mine if slot in theirs]
            if node.op_type in COMMUTATIVE:
                pairs = self._commuted(node, known)
            for slot, there in pairs:
                self._equate(node.inputs[slot], known.inputs[there])
            if not node.weights and not self._constant(node) and len(pairs) == 1:
                self._correct(node.inputs[pairs[0][0]], known.inputs[pairs[0][1]])

    def _constant(self, node: PartNode) -> bool:
        """Whether a node computes with constants, into which a tool may have worked others."""
        sizes = size_inputs(node.op_type)
        return any(self.new.constant(name) for slot, name in enumerate(node.inputs) if name and slot not in sizes)

    def _correct(self, name: str, known: str) -> None:
        """What two nodes read that make the same is the same, also if a tool has given it another tensor's name."""
        told = self.same.get(name)
        if told is None or told == known or known in self.alive or name not in self.new.maker:
            return
        maker = self.saved.maker.get(known)
        if maker is not None and told in self.saved.nodes[maker].inputs:
            self.same[name] = known
            self.alive.add(known)
            self.alive.discard(told)

    def _commuted(self, node: PartNode, known: PartNode) -> list[tuple[int, int]]:
        """Which inputs of two commutative nodes are each other's, of those that are still open."""
        mine = [slot for slot in self.new.data(node) if node.inputs[slot] not in self.same]
        there = {self.same.get(name) for name in node.inputs}
        theirs = [
            slot
            for slot in self.saved.data(known)
            if known.inputs[slot] not in there and known.inputs[slot] not in self.alive
        ]
        if len(mine) == len(theirs) == 1:
            return [(mine[0], theirs[0])]
        found = []
        for slot in mine:
            kind = self.new.kind(node.inputs[slot])
            alike = [other for other in theirs if kind and self.saved.kind(known.inputs[other]) == kind]
            others = [other for other in mine if self.new.kind(node.inputs[other]) == kind]
            if len(alike) == len(others) == 1:
                found.append((slot, alike[0]))
        left = [slot for slot in mine if slot not in {one for one, _ in found}]
        rest = [slot for slot in theirs if slot not in {other for _, other in found}]
        return [*found, (left[0], rest[0])] if len(left) == len(rest) == 1 else found
