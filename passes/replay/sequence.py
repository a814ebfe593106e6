"""Two sequences compared: the operations that ran and the nodes that do their work, both in order of time.

An exporter writes each operation as a group of neighbouring nodes, in the order in which operations ran. So the nodes
between two known nodes can be assigned to the operations between the two known operations, by the operators that each
is usually written as (`operators`). Where several assignments are equally good, all of them are returned.

The algorithm is that of global sequence alignment, with groups in place of single letters: Needleman and Wunsch, "A
general method applicable to the search for similarities in the amino acid sequence of two proteins", 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from onnx_tagger.passes.replay.operators import MOVES, Way, ways_of

# What is counted: a node that does part of an operation's work, one that moves a tensor as the operation does, one that
# belongs to no operation, and an operation that no node does.
_FITS = 1.0
_MOVES = 0.5
_STRAY = -0.75
_STRAY_MOVE = -0.05
_UNDONE = -0.5

# Ways that are nearly as good as the best count as well.
_MARGIN = 0.3

# Moves and strays that a group may hold beyond what its operation is usually written as.
_SLACK = 6

# More pairs than this are not looked at: the time for a file would not be linear in its nodes.
MOST_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class NodeLetter:
    """A node as the alignment sees it: its operator, and the operations that it may belong to, None for any."""

    operator: str
    allowed: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class OperationLetter:
    """An operation as the alignment sees it.

    Attributes
    ----------
    operator : str
        ATen name.
    optional : bool
        Whether a file may well hold nothing of it.
    done : tuple of str
        Operators of nodes elsewhere that are known to do part of it.
    """

    operator: str
    optional: bool = False
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """A run of nodes as the nodes of one operation: up to where, what that is worth, and which of them it is."""

    end: int
    worth: float
    members: tuple[int, ...]


def assigned(nodes: Sequence[NodeLetter], operations: Sequence[OperationLetter]) -> tuple[tuple[int, ...], ...]:
    """The positions of the operations that each node may belong to; none if it belongs to none.

    Parameters
    ----------
    nodes : sequence of NodeLetter
        In order of time.
    operations : sequence of OperationLetter
        In order of time.

    Notes
    -----
    Takes time with the product of their lengths and the nodes that an operation may be written as; callers look at no
    more than `MOST_PAIRS` pairs at once.
    """
    groups = [
        [list(_groups(nodes, operations, position, start)) for start in range(len(nodes) + 1)]
        for position in range(len(operations))
    ]
    ahead, behind = _ahead(nodes, groups), _behind(nodes, groups)
    found: list[set[int]] = [set() for _ in nodes]
    least = behind[0][0] - _MARGIN
    for position, by_start in enumerate(groups):
        for start, choices in enumerate(by_start):
            for group in choices:
                if ahead[position][start] + group.worth + behind[position + 1][group.end] >= least:
                    for member in group.members:
                        found[member].add(position)
    return tuple(tuple(sorted(positions)) for positions in found)


def _groups(
    nodes: Sequence[NodeLetter], operations: Sequence[OperationLetter], position: int, start: int
) -> Iterator[_Group]:
    """The groups that begin at a node and may be one operation's, the empty one first."""
    operation = operations[position]
    ways = ways_of(operation.operator)
    there = Counter(operation.done)
    undone = 0.0 if operation.optional or _complete(ways, there) else _UNDONE
    yield _Group(start, undone, ())
    longest = _SLACK + max((sum(way.most.values()) for way in ways), default=_SLACK)
    worth, members = 0.0, []
    for place in range(start, min(len(nodes), start + longest)):
        node = nodes[place]
        value = _value(node, position, ways, there)
        if value is None:
            if place == start:
                return
            worth += _stray(node)
            if worth < 3 * _STRAY:
                return
            continue
        worth += value
        members.append(place)
        yield _Group(place + 1, worth + (0.0 if _complete(ways, there) else undone), tuple(members))


def _complete(ways: Sequence[Way], there: Counter[str]) -> bool:
    """Whether these nodes may be all that was written of an operation."""
    if not ways:
        return any(operator not in MOVES for operator in there)
    return any(way.always.issubset(there) for way in ways)


def _value(node: NodeLetter, position: int, ways: Sequence[Way], there: Counter[str]) -> float | None:
    """What a node is worth in a group, which it joins; None if it does nothing for the group's operation."""
    if node.allowed is not None and position not in node.allowed:
        return None
    known = _FITS if node.allowed is not None else 0.0
    moves = node.operator in MOVES
    there[node.operator] += 1
    if any(way.holds(there) for way in ways):
        return known + (_MOVES if moves else _FITS)
    there[node.operator] -= 1
    if moves:
        return known
    if not ways:
        there[node.operator] += 1
        return known + _FITS / 4
    # What is said of a node outweighs what an operation is usually written as.
    return known - _MOVES if node.allowed is not None else None


def _stray(node: NodeLetter) -> float:
    return _STRAY_MOVE if node.operator in MOVES else _STRAY


def _ahead(nodes: Sequence[NodeLetter], groups: Sequence[Sequence[Sequence[_Group]]]) -> list[list[float]]:
    """What the best way is worth that has come to an operation and a node."""
    table = [[-inf] * (len(nodes) + 1) for _ in range(len(groups) + 1)]
    table[0][0] = 0.0
    for position in range(len(groups) + 1):
        row = table[position]
        for place, node in enumerate(nodes):
            row[place + 1] = max(row[place + 1], row[place] + _stray(node))
        if position < len(groups):
            following = table[position + 1]
            for start, choices in enumerate(groups[position]):
                for group in choices:
                    following[group.end] = max(following[group.end], row[start] + group.worth)
    return table


def _behind(nodes: Sequence[NodeLetter], groups: Sequence[Sequence[Sequence[_Group]]]) -> list[list[float]]:
    """What the best way is worth from an operation and a node to the end."""
    last = [0.0] * (len(nodes) + 1)
    for place in range(len(nodes) - 1, -1, -1):
        last[place] = last[place + 1] + _stray(nodes[place])
    table = [last]
    for by_start in reversed(groups):
        following = table[-1]
        row = [max(group.worth + following[group.end] for group in choices) for choices in by_start]
        for place in range(len(nodes) - 1, -1, -1):
            row[place] = max(row[place], row[place + 1] + _stray(nodes[place]))
        table.append(row)
    table.reverse()
    return table
