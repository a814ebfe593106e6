"""The nodes of a module closed to something that runs: what is copied in, what comes in and goes out, what stops it.

Convexity: a part is convex if no path of the data flow leaves it and comes back. A part that is not cannot be one file
that takes its inputs and then gives its outputs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.workflows.splitting.maingraph import MainGraph

FUSED = ("include", "exclude")
BACK = ("refuse", "drop")

# Tensors whose shapes a copied chain of shape arithmetic may go by; one that needs more stays where it is.
_MOST_BASES = 4

# How often nodes that reach back are dropped before the rest is given up.
_MOST_ROUNDS = 32


class NotExtractedError(TaggerError):
    """A module cannot be a file of its own."""


@dataclass(frozen=True)
class Region:
    """What becomes a file.

    Attributes
    ----------
    nodes : list of int
        Positions in the main graph, in an order in which they can run.
    copied : frozenset of int
        Those that belong to other modules and are copied in: constants and shape arithmetic.
    dropped : tuple of int
        Nodes of the module that were left out, since their results come back through other modules.
    inputs, outputs, stored : list of str
        Tensors that come in and go out, and initializers that are read.
    """

    nodes: list[int]
    copied: frozenset[int]
    dropped: tuple[int, ...]
    inputs: list[str]
    outputs: list[str]
    stored: list[str]

    def __repr__(self) -> str:
        return brief(self, counted(len(self.nodes), "node"), counted(len(self.inputs), "input"))


@dataclass
class Cutter:
    """Finds the regions of a main graph.

    Parameters
    ----------
    graph : MainGraph
    nodes : sequence of onnx.NodeProto
        Of the main graph.
    tags : sequence of (Tag or None)
        One for each node.
    """

    graph: MainGraph
    nodes: Sequence[onnx.NodeProto]
    tags: Sequence[Tag | None]
    _based: dict[int, frozenset[str] | None] = field(default_factory=dict, repr=False)

    @cached_property
    def readers(self) -> dict[str, list[int]]:
        """Tensor to the nodes that read it."""
        found: dict[str, list[int]] = {}
        for index, names in enumerate(self.graph.reads):
            for name in names:
                found.setdefault(name, []).append(index)
        return found

    @cached_property
    def shapes(self) -> frozenset[int]:
        """Nodes whose results depend on no values of tensors, only on their shapes."""
        found: set[int] = set()
        graph = self.graph
        for index in graph.order:
            node = self.nodes[index]
            if node.op_type in ("Shape", "Size") and node.domain in ("", "ai.onnx"):
                found.add(index)
                continue
            makers = [graph.producer.get(name) for name in graph.reads[index] if name not in graph.stored]
            live = [maker for maker in makers if maker is None or maker not in graph.constant]
            if live and all(maker in found for maker in live) and not _has_body(node):
                found.add(index)
        return frozenset(found)

    def members(self, path: str, call: int | None, fused: str) -> set[int]:
        """The nodes that do work of a module, or of one of its calls.

        Raises
        ------
        NotExtractedError
            If there is no such call.
        """
        inside = {
            index
            for index, tag in enumerate(self.tags)
            if tag is not None and _does_work(tag, path, fused == "include")
        }
        calls = self.calls(path, inside)
        if call is None:
            return inside
        if not 0 <= call < max(len(calls), 1):
            raise NotExtractedError(
                f"its tags tell {counted(len(calls) or 1, 'call')} apart; give --call 0 to this - 1"
            )
        wanted = list(calls)[call] if calls else None
        return inside if wanted is None else {index for index in inside if wanted in _calls(self.tags[index], path)}

    def calls(self, path: str, inside: Iterable[int]) -> dict[tuple[int, ...], None]:
        """The calls of a module that tags tell apart, in their order: the numbers along its path."""
        return dict.fromkeys(sorted({numbers for index in inside for numbers in _calls(self.tags[index], path)}))

    def region(self, inside: Collection[int], back: str = "refuse") -> Region:
        """Close some nodes to something that runs.

        Parameters
        ----------
        inside : collection of int
            Positions of nodes.
        back : "refuse" or "drop"
            What to do with nodes whose results come back through other nodes.

        Raises
        ------
        NotExtractedError
            If they cannot be a file.
        """
        asked = set(inside)
        live = {index for index in asked if index not in self.graph.constant} or set(asked)
        if not live:
            raise NotExtractedError("none of its work is left in the main graph")
        dropped: set[int] = set()
        copied: set[int] = set()
        for _ in range(_MOST_ROUNDS):
            chain = self._coming_back(live | copied)
            if not chain:
                break
            if chain <= self.shapes:
                copied |= chain
            elif back == "drop":
                gone = self._leading_to(chain, live)
                dropped |= gone
                live -= gone
                copied.clear()
            else:
                raise NotExtractedError(self._why(chain))
            if not live:
                raise NotExtractedError("nothing is left once the nodes that reach back are dropped")
        else:
            raise NotExtractedError("its nodes and others' take turns too often to be parted")
        copied |= self._shape_arithmetic(live | copied)
        return self._closed(live, copied, tuple(sorted(dropped)))

    def _coming_back(self, inside: Collection[int]) -> set[int]:
        """The nodes outside that lie on a path from inside to inside."""
        graph = self.graph
        later: set[int] = set()
        ends: list[int] = []
        for index in graph.order:
            if index in inside:
                ends += [maker for maker in graph.makers(index) if maker in later]
            elif any(maker in inside or maker in later for maker in graph.makers(index)):
                later.add(index)
        found = set(ends)
        while ends:
            for maker in graph.makers(ends.pop()):
                if maker in later and maker not in found:
                    found.add(maker)
                    ends.append(maker)
        return found

    def _leading_to(self, chain: Collection[int], inside: Collection[int]) -> set[int]:
        """The nodes inside whose results reach a chain outside."""
        found: set[int] = set()
        pending = list(chain)
        seen = set(chain)
        while pending:
            for maker in self.graph.makers(pending.pop()):
                if maker not in seen:
                    seen.add(maker)
                    pending.append(maker)
                    if maker in inside:
                        found.add(maker)
        return found

    def _why(self, chain: Collection[int]) -> str:
        index = min(chain)
        tag, node = self.tags[index], self.nodes[index]
        owner = "no module" if tag is None else (tag.module or "(root)")
        return (
            f"its own results come back to it through {node.op_type} {node.name!r} of {owner}, so that it is no "
            "function of its inputs; drop the nodes that reach back with --back drop, or choose the module around both"
        )

    def _bases(self, index: int) -> frozenset[str] | None:
        """The tensors whose shapes a node of shape arithmetic goes by; None if they are many."""
        stack = [index]
        while stack:
            at = stack[-1]
            if at in self._based:
                stack.pop()
                continue
            if self.nodes[at].op_type in ("Shape", "Size"):
                names = [name for name in self.graph.reads[at] if name not in self.graph.stored]
                self._based[at] = frozenset(names)
                continue
            makers = [maker for maker in self.graph.makers(at) if maker in self.shapes]
            open_makers = [maker for maker in makers if maker not in self._based]
            if open_makers:
                stack += open_makers
                continue
            bases: set[str] | None = set()
            for maker in makers:
                more = self._based[maker]
                bases = None if bases is None or more is None else bases | more
            self._based[at] = None if bases is None or len(bases) > _MOST_BASES else frozenset(bases)
        return self._based[index]

    def _shape_arithmetic(self, inside: set[int]) -> set[int]:
        """Shape arithmetic of other modules that can be done inside, from tensors that are there anyway."""
        graph = self.graph
        made = {name for index in inside for name in graph.makes[index]}
        read = dict.fromkeys(name for index in sorted(inside) for name in graph.reads[index] if name not in made)
        chains = [graph.producer[name] for name in read if graph.producer.get(name) in self.shapes]
        there = made | {name for name in read if graph.producer.get(name) not in self.shapes}
        found: set[int] = set()
        for end in chains:
            bases = self._bases(end)
            if bases is None or not bases <= there:
                continue
            pending = [end]
            while pending:
                index = pending.pop()
                if index in found or index in inside or index in graph.constant:
                    continue
                found.add(index)
                if self.nodes[index].op_type not in ("Shape", "Size"):
                    pending += graph.makers(index)
        return found

    def _closed(self, live: set[int], copied: set[int], dropped: tuple[int, ...]) -> Region:
        graph = self.graph
        inside = live | copied
        constants: set[int] = set()
        pending = list(inside)
        while pending:
            for maker in graph.makers(pending.pop()):
                if maker in graph.constant and maker not in inside and maker not in constants:
                    constants.add(maker)
                    pending.append(maker)
        inside |= constants
        nodes = [index for index in graph.order if index in inside]
        made = {name for index in nodes for name in graph.makes[index]}
        read = dict.fromkeys(name for index in nodes for name in graph.reads[index] if name not in made)
        outputs = [
            name for index in nodes if index in live for name in graph.makes[index] if self._leaves(name, inside)
        ]
        if not outputs:
            outputs = [name for i in nodes if i in live for name in graph.makes[i] if not self.readers.get(name)]
        if not outputs:
            raise NotExtractedError("nothing that it computes is read by others")
        own_constants = {index for index in constants if self.tags[index] in {self.tags[i] for i in live}}
        return Region(
            nodes,
            frozenset((copied | constants) - own_constants),
            dropped,
            [name for name in read if name not in graph.stored],
            outputs,
            [name for name in read if name in graph.stored],
        )

    def _leaves(self, name: str, inside: Collection[int]) -> bool:
        """Whether a tensor of a region is read outside, or given back."""
        if name in self._given:
            return True
        return any(reader not in inside for reader in self.readers.get(name, ()))

    @cached_property
    def _given(self) -> frozenset[str]:
        return frozenset(self.graph.outputs)


def _has_body(node: onnx.NodeProto) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def lies_under(module: str, path: str) -> bool:
    """Whether a module is another one or lies in it.

    Examples
    --------
    >>> lies_under("a.b", "a"), lies_under("ab", "a"), lies_under("x", "")
    (True, False, True)
    """
    return not path or module == path or module.startswith(f"{path}.")


def _does_work(tag: Tag, path: str, any_of_them: bool) -> bool:
    found = (lies_under(module, path) for module in tag.modules)
    return any(found) if any_of_them else all(found)


def _calls(tag: Tag | None, path: str) -> set[tuple[int, ...]]:
    """The numbers along a module's path in the calls that a node works for."""
    if tag is None or not path:
        return set()
    parts = path.count(".") + 1
    found = set()
    for text in tag.call:
        held = [part.partition("@") for part in text.split(".")[:parts]]
        if ".".join(name for name, _, _ in held) == path:
            found.add(tuple(int(number) if number.isdigit() else 0 for _, _, number in held))
    return found


def owners_of(names: Iterable[str], graph: MainGraph, tags: Sequence[Tag | None]) -> Mapping[str, str | None]:
    """Whose node makes each tensor; None for inputs of the model and nodes without a tag."""
    makers = {name: graph.producer.get(name) for name in names}
    found = {name: None if maker is None else tags[maker] for name, maker in makers.items()}
    return {name: None if tag is None else tag.module for name, tag in found.items()}
