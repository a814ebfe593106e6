"""Which tensors of a file enter and leave each call of a module, by the tags of the nodes that make and read them.

A node that does the work of several modules takes its inputs for the one that ran first, and gives its output for the
one that ran last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from onnx_tagger.model.graph import MAIN, Op
from onnx_tagger.model.metadata import Tag
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context

Spans = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Work:
    """The calls that a node works for.

    Attributes
    ----------
    calls : tuple of str
        Each a module path, with ``@k`` behind modules that are called more than once; empty for a node without a tag.
    first, last : str or None
        The calls that ran first and last of them.
    """

    calls: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None


def module_of(call: str) -> str:
    """The module path of a call.

    Examples
    --------
    >>> module_of("encoder.layers.0@3.attn")
    'encoder.layers.0.attn'
    """
    return ".".join(part.partition("@")[0] for part in call.split(".")) if "@" in call else call


def around(call: str) -> Iterator[str]:
    """The call itself and those around it, outermost first.

    Examples
    --------
    >>> list(around("enc.0@1.attn"))
    ['', 'enc', 'enc.0@1', 'enc.0@1.attn']
    """
    yield ""
    if call:
        parts = call.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def depth_in_common(one: str, other: str) -> int:
    """How many parts two calls begin with alike.

    Examples
    --------
    >>> depth_in_common("a.b.c", "a.b.d"), depth_in_common("a", ""), depth_in_common("ab", "a")
    (2, 0, 0)
    """
    count = 0
    for a, b in zip(one.split(".") if one else (), other.split(".") if other else (), strict=False):
        if a != b:
            break
        count += 1
    return count


def work_of(tag: Tag | None, spans: Spans) -> Work:
    """The calls that a node with a tag works for, and which of them ran first and last.

    Parameters
    ----------
    tag : Tag or None
    spans : mapping
        Call to the places in the run of the first and the last operation that it did itself.
    """
    if tag is None:
        return Work()
    named = {module_of(call): call for call in tag.call}
    calls = tuple(named.get(path, path) for path in (tag.origins or (tag.module,)))
    if len(calls) == 1:
        return Work(calls, calls[0], calls[0])
    known = [call for call in calls if call in spans] or list(calls)
    first = min(known, key=lambda call: spans.get(call, (0, 0))[0])
    last = max(known, key=lambda call: spans.get(call, (0, 0))[1])
    return Work(calls, first, last)


@dataclass
class Borders:
    """The main graph of a file by calls.

    Attributes
    ----------
    nodes : list of NodeProto
        Of the main graph, in the order of the file.
    work : list of Work
        One for each of them.
    order : list of int
        Positions of the nodes, each behind those whose results it reads; a file need not be sorted so.
    makers : dict
        Tensor to the position of the node that makes it.
    readers : dict
        Tensor to the work of those that read it, in bodies too.
    reading : dict
        Position of a node to the tensors that it and its bodies read.
    outputs : frozenset of str
        Of the file.
    ranks : dict
        Tensor to the place of its maker in the order.
    exits, entries : dict
        Call to the tensors that leave and enter it.
    hidden : dict
        Call to the body or function in which its nodes are.
    """

    nodes: list[onnx.NodeProto]
    work: list[Work]
    order: list[int]
    makers: dict[str, int]
    readers: dict[str, list[Work]]
    reading: dict[int, list[str]]
    outputs: frozenset[str]
    ranks: dict[str, int] = field(default_factory=dict)
    exits: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    entries: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    hidden: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, ctx: Context, spans: Spans) -> Borders:
        """Find the borders of the calls in a model whose tags are known."""
        main = ctx.walk.scopes[0]
        work: dict[int, Work] = {}
        readers: dict[str, list[Work]] = defaultdict(list)
        reading: dict[int, list[str]] = defaultdict(list)
        hidden: dict[str, str] = {}
        for op in ctx.ops:
            its = work_of(ctx.tags.get(op), spans)
            if op.scope.family != MAIN:
                hidden.update({call: op.scope.name for call in its.calls if call not in hidden})
                continue
            owner = _owner(op)
            if op.scope is main:
                work[op.index] = its
            else:
                hidden.update({call: op.scope.name for call in its.calls if call not in hidden})
            for name in filter(None, op.node.input):
                readers[name].append(its)
                reading[owner.index].append(name)
        nodes = [op.node for op in main.ops]
        makers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
        found = cls(
            nodes,
            [work[place] for place in range(len(nodes))],
            [ctx.ops[op].index for op in ctx.get(DataFlow).order if ctx.ops[op].scope is main],
            makers,
            readers,
            reading,
            frozenset(main.output_names),
            hidden=hidden,
        )
        found._find()
        return found

    def _find(self) -> None:
        """Find what leaves and enters each call."""
        for rank, place in enumerate(self.order):
            self.ranks |= dict.fromkeys(filter(None, self.nodes[place].output), rank)
        self._find_exits()
        self._find_entries()

    def _find_exits(self) -> None:
        for name, place in self.makers.items():
            last = self.work[place].last
            if last is None:
                continue
            shared = [_deepest(last, reader.calls) for reader in self.readers.get(name, ())]
            least = -1 if name in self.outputs else min(shared, default=None)
            if least is None:
                continue
            for depth, call in enumerate(around(last)):
                if depth > least:
                    self.exits[call].append(name)

    def _find_entries(self) -> None:
        entered: set[tuple[str, str]] = set()
        for name, readers in self.readers.items():
            maker = self.makers.get(name)
            made = self.work[maker].calls if maker is not None else ()
            if not made:
                continue
            for reader in readers:
                if reader.first is None or (reader.first, name) in entered:
                    continue
                entered.add((reader.first, name))
                # Between two nodes that both work for several calls, a tensor enters none of those.
                least = _deepest(reader.first, made)
                for depth, call in enumerate(around(reader.first)):
                    if depth > least:
                        self.entries[call].append(name)

    def served(self, points: Sequence[str]) -> dict[int, list[str]]:
        """Position of each node to the points that its results reach first, at most a few of them.

        Parameters
        ----------
        points : sequence of str
            Tensors at which a walk down the data flow stops.
        """
        ends = frozenset(points)
        reached: dict[str, list[str]] = {name: [name] for name in ends}
        served: dict[int, list[str]] = {}
        for place in reversed(self.order):
            found = list(dict.fromkeys(p for name in self.nodes[place].output for p in reached.get(name, ())))
            served[place] = found[:_MOST_SERVED]
            for name in self.reading.get(place, ()):
                if name not in ends:
                    known = reached.setdefault(name, [])
                    known += [point for point in served[place] if point not in known]
                    del known[_MOST_SERVED:]
        return served


# A node of shape arithmetic serves most of a graph; the nearest few are what matters.
_MOST_SERVED = 8


def _owner(op: Op) -> Op:
    """The node of the main graph in whose bodies a node is; itself if it is in none."""
    while op.scope.owner is not None:
        op = op.scope.owner
    return op


def _deepest(border: str, calls: Sequence[str]) -> int:
    """Up to which depth calls on the other side of a tensor are in the call at this side; -1 for none."""
    return max((depth_in_common(border, call) for call in calls), default=-1)
