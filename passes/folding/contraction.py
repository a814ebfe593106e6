"""The main graph as items that shrink: nodes of a module become one item where the graph stays free of circles.

Every item has a place in one topological order. To contract some, only the stretch of the order between the first and
the last of them is looked at and put in order again (the local reordering of Pearce and Kelly, "A dynamic topological
sort algorithm for directed acyclic graphs", 2006). So a module whose nodes lie together costs as much as it has nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import onnx

from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.texts import brief_fields


@dataclass(eq=False, slots=True)
class Item:
    """A node of the main graph, or the call that stands for several.

    Attributes
    ----------
    node : onnx.NodeProto
    reads, makes : tuple of str
        Tensors of the main graph, each once; bodies' reads are among them.
    last : int
        Position in the file of the last node in it.
    tags : list of (Tag or None)
        Of the node and those in its bodies, as a walk meets them.
    members : list of Item
        What a call stands for, in the order of its function's body.
    """

    node: onnx.NodeProto
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    last: int
    tags: list[Tag | None]
    members: list[Item] = field(default_factory=list, repr=False)

    __repr__ = brief_fields


class Contraction:
    """Items of a main graph.

    Parameters
    ----------
    items : sequence of Item
        Those of the nodes, in the order of the file.
    outputs : iterable of str
        What the graph gives back.
    """

    def __init__(self, items: Sequence[Item], outputs: Iterable[str]) -> None:
        self.outputs = set(outputs)
        self.producer = {name: item for item in items for name in item.makes}
        # Dictionaries keep the order, which sets do not.
        self.readers: dict[str, dict[Item, None]] = {}
        for item in items:
            for name in item.reads:
                self.readers.setdefault(name, {})[item] = None
        self.order: list[Item | None] = list(self._late(items))
        self.place = {item: at for at, item in enumerate(self.order) if item is not None}

    def _late(self, items: Sequence[Item]) -> Iterator[Item]:
        """Items in topological order, each as late as those that read it allow: nodes of a module lie together so."""
        done: set[Item] = set()
        for start in items:
            if any(name in self.readers for name in start.makes):
                continue
            stack: list[tuple[Item, Iterator[str]]] = [(start, iter(start.reads))]
            done.add(start)
            while stack:
                item, names = stack[-1]
                for name in names:
                    maker = self.producer.get(name)
                    if maker is not None and maker not in done:
                        done.add(maker)
                        stack.append((maker, iter(maker.reads)))
                        break
                else:
                    stack.pop()
                    yield item

    def producers(self, item: Item) -> Iterator[Item]:
        """The items whose tensors an item reads; one may come up several times."""
        for name in item.reads:
            maker = self.producer.get(name)
            if maker is not None:
                yield maker

    def around(self, members: Sequence[Item]) -> tuple[list[Item], list[Item]] | None:
        """The items between the first and the last of some that can stand before them all, and the others.

        Returns
        -------
        tuple of (list, list) or None
            None if a path leaves the members and comes back, so that a single item in their place would read itself.
        """
        inside = set(members)
        places = [self.place[item] for item in members]
        before: list[Item] = []
        after: list[Item] = []
        later: set[Item] = set()
        for item in self.order[min(places) : max(places) + 1]:
            if item is None:
                continue
            behind = [maker for maker in self.producers(item) if maker in later or maker in inside]
            if item in inside:
                if any(maker in later for maker in behind):
                    return None
            elif behind:
                later.add(item)
                after.append(item)
            else:
                before.append(item)
        return before, after

    def borders(self, members: Sequence[Item]) -> tuple[list[str], list[str]]:
        """What some items read from elsewhere, and what of theirs is read elsewhere or given back; in their order."""
        inside = set(members)
        made = {name for item in members for name in item.makes}
        reads = dict.fromkeys(name for item in members for name in item.reads if name not in made)
        makes = [
            name
            for item in members
            for name in item.makes
            if name in self.outputs or any(reader not in inside for reader in self.readers.get(name, ()))
        ]
        return list(reads), makes

    def replace(self, members: Sequence[Item], item: Item, before: Sequence[Item], after: Sequence[Item]) -> None:
        """Put an item in the place of some, with what `around` has said of them."""
        places = [self.place.pop(member) for member in members]
        first, last = min(places), max(places)
        stretch: list[Item | None] = [*before, item, *after]
        self.order[first : last + 1] = stretch + [None] * (last + 1 - first - len(stretch))
        for at, moved in enumerate(stretch, first):
            if moved is not None:
                self.place[moved] = at
        for member in members:
            for name in member.reads:
                self.readers[name].pop(member, None)
        for name in item.reads:
            self.readers.setdefault(name, {})[item] = None
        for name in item.makes:
            self.producer[name] = item

    def left(self) -> list[Item]:
        """The items that are there now, in the order of the file as far as it is topological."""
        return self.sorted([item for item in self.order if item is not None])

    def sorted(self, items: Sequence[Item]) -> list[Item]:
        """Some items in the order of the file, but each behind those that it reads."""
        inside = set(items)
        waiting = {item: {maker for maker in self.producers(item) if maker in inside} for item in items}
        readers: dict[Item, list[Item]] = {}
        for item, makers in waiting.items():
            for maker in makers:
                readers.setdefault(maker, []).append(item)
        missing = {item: len(makers) for item, makers in waiting.items()}
        ready = [(item.last, at, item) for at, item in enumerate(items) if not missing[item]]
        heapify(ready)
        found: list[Item] = []
        count = len(items)
        while ready:
            item = heappop(ready)[2]
            found.append(item)
            for reader in readers.get(item, ()):
                missing[reader] -= 1
                if not missing[reader]:
                    count += 1
                    heappush(ready, (reader.last, count, reader))
        return found
