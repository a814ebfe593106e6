"""What the saved graph computes for a tensor, back to what is still there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

from onnx_tagger.passes.analyses.saved import FamilyName, SavedIndex, family_of
from onnx_tagger.passes.replay.operators import DROPPABLE, LAYOUTS, SAME_VALUE

_MEASURES = frozenset({"Shape", "Size"})


class Cones:
    """The saved nodes behind tensors, up to those that exist in another file.

    Parameters
    ----------
    index : SavedIndex
    alive : collection of FamilyName
        The saved tensors that exist there.
    """

    def __init__(self, index: SavedIndex, alive: Collection[FamilyName]) -> None:
        self.index, self.nodes, self.alive = index, index.graph.nodes, alive
        self.found: dict[FamilyName, tuple[int, ...]] = {}

    def renew(self) -> None:
        """Forget what was found: other tensors exist now."""
        self.found.clear()
        self.__dict__.pop("_living", None)

    def work(self, outputs: Iterable[FamilyName]) -> frozenset[int]:
        """Positions of the nodes that compute some tensors; those that do nothing only if there are no others."""
        cones = [position for key in outputs for position in self.cone(key)]
        return frozenset([position for position in cones if self.nodes[position].op not in DROPPABLE] or cones)

    def work_of_all(self, outputs: Collection[FamilyName]) -> frozenset[int]:
        """At least the positions of `work`, in one sweep however many tensors there are."""
        found: set[int] = set()
        stack = [start for key in outputs if (start := self.index.by_output.get(key)) is not None]
        while stack:
            position = stack.pop()
            if position not in found:
                found.add(position)
                family = family_of(self.nodes[position].scope)
                reads = self.index.reads(position) if self.nodes[position].op not in _MEASURES else ()
                keys = ((family, name) for name in reads)
                makers = (self.index.by_output.get(key) for key in keys if key not in self.alive)
                stack += [maker for maker in makers if maker is not None]
        return frozenset(found)

    def cone(self, out: FamilyName) -> tuple[int, ...]:
        """Positions of the nodes from a tensor back to tensors that still exist, the maker of the tensor first."""
        start = self.index.by_output.get(out)
        if start is None:
            return ()
        if out not in self.found:
            family, alive, by_output = out[0], self.alive, self.index.by_output
            seen, stack = {start: None}, [start]
            while stack:
                position = stack.pop()
                # What a tensor holds is not what its size is made of.
                for name in self.index.reads(position) if self.nodes[position].op not in _MEASURES else ():
                    key = (family, name)
                    maker = None if key in alive else by_output.get(key)
                    if maker is not None and maker not in seen and not self._moved(key, out):
                        seen[maker] = None
                        stack.append(maker)
            self.found[out] = tuple(seen)
        return self.found[out]

    def _moved(self, key: FamilyName, out: FamilyName) -> bool:
        """Whether what a saved tensor holds is there, moved or stored in another way, when another one is made."""
        number = self._values.get(key)
        return number is not None and number in self._living and number != self._values.get(out)

    @cached_property
    def _values(self) -> dict[FamilyName, int]:
        """A number for each saved tensor that is only moved or converted, equal for those of equal values."""
        found: dict[FamilyName, int] = {}
        for position, node in enumerate(self.nodes):
            if (node.op in LAYOUTS or node.op in SAME_VALUE) and node.inputs and node.outputs:
                family = family_of(node.scope)
                found[family, node.outputs[0]] = found.setdefault((family, node.inputs[0]), position)
        return found

    @cached_property
    def _living(self) -> set[int]:
        """The numbers of the values of which a tensor exists."""
        return {number for key, number in self._values.items() if key in self.alive}
