"""Repetition: what is known of a node says where another one belongs whose neighbourhood is the same.

Models repeat blocks. If one node of a block is tagged and its counterpart in the next block is not, the tags of their
neighbours say which block stands for which, and the tag can be carried over: never as it is, always translated.

Neighbourhoods are compared by labels: Shervashidze, Schweitzer, van Leeuwen, Mehlhorn and Borgwardt, "Weisfeiler-Lehman
graph kernels", Journal of Machine Learning Research 12, 2011.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import Op, operator
from onnx_tagger.model.metadata import Tag
from onnx_tagger.passes.analyses.dataflow import Flow

# How far a neighbourhood reaches.
_ROUNDS = 3

# How many tagged counterparts are asked; they must agree.
_WITNESSES = 8


class Repetition:
    """Finds untagged ops again in other places of a model.

    Parameters
    ----------
    ops, tags, tree, flow
        Of the model.
    """

    def __init__(self, ops: Sequence[Op], tags: Mapping[Op, Tag], tree: HierarchyMap, flow: Flow) -> None:
        self.ops, self.tags, self.tree, self.flow = ops, tags, tree, flow
        self.kinds = Counter((module.parent, module.class_name) for module in tree.modules)

    def modules(self) -> dict[Op, str]:
        """The module of each untagged op of which all tagged counterparts that are asked tell the same.

        Bodies are left out: what is around a branch is around its siblings as well.
        """
        told: dict[Op, set[str]] = {op: set() for op in self.ops if op not in self.tags and op.scope.owner is None}
        # The widest neighbourhoods that are the same tell the most.
        for labels in reversed(list(self._labels())):
            alike: dict[int, list[int]] = defaultdict(list)
            for op in self.ops:
                if op in self.tags:
                    alike[labels[op.id]].append(op.id)
            for op, modules in told.items():
                if not modules:
                    modules.update(self._told(op.id, alike[labels[op.id]]))
        return {op: modules.pop() for op, modules in told.items() if len(modules) == 1}

    def _told(self, index: int, witnesses: Sequence[int]) -> set[str]:
        """What the counterparts of an op tell."""
        asked = witnesses[:: 1 + len(witnesses) // _WITNESSES]
        return {module for other in asked if (module := self._translated(index, other)) is not None}

    def _labels(self) -> Iterator[list[int]]:
        """Numbers of the ops, equal for those with equal neighbourhoods, for wider and wider ones."""
        known: dict[object, int] = {}
        kinds = ((operator(op.node), len(op.node.input), len(op.node.output)) for op in self.ops)
        labels = [known.setdefault(kind, len(known)) for kind in kinds]
        for _ in range(_ROUNDS):
            wider: dict[object, int] = {}
            around = (
                (
                    labels[op.id],
                    tuple(-1 if maker is None else labels[maker] for maker in self._makers(op.id)),
                    tuple(sorted(labels[reader] for reader in self.flow.graph.succ[op.id])),
                )
                for op in self.ops
            )
            labels = [wider.setdefault(label, len(wider)) for label in around]
            yield labels

    def _makers(self, index: int) -> Iterator[int | None]:
        """The ops that make what an op reads, in the order of its inputs."""
        return (self.flow.producer.get(key) for key in self.flow.inputs[index])

    def _translated(self, index: int, other: int) -> str | None:
        """The module that is to one op what another op's is to that; None if their neighbours do not tell."""
        places: dict[str, str] = {}
        for mine, others in self._pairs(index, other):
            tagged = mine in self.tags and others in self.tags
            if tagged and not self._stand(self.tags[mine].module, self.tags[others].module, places):
                return None
        parts = self.tags[self.ops[other]].module.split(".")
        for length in range(len(parts), 0, -1):
            here = places.get(".".join(parts[:length]))
            if here is not None:
                return self._below(here, parts[length:], ".".join(parts))
        return None

    def _pairs(self, index: int, other: int) -> Iterator[tuple[Op, Op]]:
        """The neighbours of two ops that stand for each other."""
        makers = zip(self._makers(index), self._makers(other), strict=False)
        yield from ((self.ops[a], self.ops[b]) for a, b in makers if a is not None and b is not None)
        readers = zip(*(sorted(self.flow.graph.succ[i]) for i in (index, other)), strict=False)
        yield from ((self.ops[a], self.ops[b]) for a, b in readers)

    def _stand(self, mine: str, others: str, places: dict[str, str]) -> bool:
        """Note which modules stand for each other, from the root down; False if that contradicts what is noted."""
        one, two = mine.split("."), others.split(".")
        if len(one) != len(two) or self.tree.by_path[mine].class_name != self.tree.by_path[others].class_name:
            return False
        pairs = ((".".join(two[:length]), ".".join(one[:length])) for length in range(1, len(one) + 1))
        return all(places.setdefault(there, here) == here for there, here in pairs)

    def _below(self, place: str, rest: Sequence[str], model: str) -> str | None:
        """The module below a place that another one stands for, unless siblings of its class could be meant as well."""
        path = place
        for part in rest:
            path = f"{path}.{part}"
            module = self.tree.by_path.get(path)
            if module is None or self.kinds[module.parent, module.class_name] > 1:
                return None
        found = self.tree.by_path[path]
        return path if found.tag is not None and found.class_name == self.tree.by_path[model].class_name else None
