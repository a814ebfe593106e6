"""What `diff` finds out about two tagged models: which nodes pair up, and what is known of them differently."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from onnx_tagger.model import metadata
from onnx_tagger.model.graph import MAIN, Op, operator
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.querying import module_of


@dataclass(frozen=True, slots=True)
class Change:
    """Two nodes that are one and the same but for what is known of them.

    Attributes
    ----------
    before, after : Op
    fields : tuple of (str, str, str)
        Name of what differs, and both values as text.
    """

    before: Op
    after: Op
    fields: tuple[tuple[str, str, str], ...]

    __repr__ = brief_fields


@dataclass(frozen=True, slots=True)
class Difference:
    """What two models do not share.

    Attributes
    ----------
    only_before, only_after : list of Op
        Nodes without a counterpart.
    changed : list of Change
        Nodes with one that differs.
    paired : int
        How many nodes have a counterpart.
    """

    only_before: list[Op]
    only_after: list[Op]
    changed: list[Change]
    paired: int

    __repr__ = brief_fields

    def __bool__(self) -> bool:
        return bool(self.only_before or self.only_after or self.changed)


def diff(before: Context, after: Context) -> Difference:
    """Pair the nodes of two models and compare what is known of each.

    Nodes are paired by outermost scope, operator and name where that is unique in both, then by outputs, then by
    position among those of equal scope, operator and name.
    """
    pairs: dict[Op, Op] = {}
    left, right = before.ops, after.ops
    for key in (_by_name, _by_outputs):
        known = _unique(key, right)
        pairs |= {op: known[name] for name, op in _unique(key, left).items() if name in known}
        left, right = _unpaired(left, right, pairs)
    queues: dict[Hashable, list[Op]] = {}
    for op in reversed(right):
        queues.setdefault(_by_place(op), []).append(op)
    for op in left:
        if queue := queues.get(_by_place(op)):
            pairs[op] = queue.pop()
    left, right = _unpaired(left, right, pairs)
    changed = []
    for op in before.ops:
        if op in pairs:
            fields = _changed_fields(_known(before, op), _known(after, pairs[op]))
            if fields:
                changed.append(Change(op, pairs[op], fields))
    return Difference(left, right, changed, len(pairs))


def _by_name(op: Op) -> Hashable | None:
    return (op.scope.family, operator(op.node), op.node.name) if op.node.name else None


def _by_outputs(op: Op) -> Hashable | None:
    outputs = tuple(filter(None, op.node.output))
    return (op.scope.family, operator(op.node), outputs) if outputs else None


def _by_place(op: Op) -> Hashable:
    # Owners of bodies are known by their position, which moves; two levels deep, the kind of body tells enough.
    body = op.scope.name.rpartition(".")[2] if op.scope.owner is not None else MAIN
    return op.scope.family, op.scope.depth, body, operator(op.node), op.node.name


def _unique(key: Callable[[Op], Hashable | None], ops: Sequence[Op]) -> dict[Hashable, Op]:
    """Key to op, for the keys that only one op has."""
    found: dict[Hashable, Op | None] = {}
    for op in ops:
        name = key(op)
        if name is not None:
            found[name] = None if name in found else op
    return {name: op for name, op in found.items() if op is not None}


def _unpaired(left: list[Op], right: list[Op], pairs: dict[Op, Op]) -> tuple[list[Op], list[Op]]:
    taken = set(pairs.values())
    return [op for op in left if op not in pairs], [op for op in right if op not in taken]


_OWN_KEYS = {
    "module": metadata.MODULE,
    "tag": metadata.TAG,
    "source": metadata.SOURCE,
    "origins": metadata.ORIGINS,
    "call": metadata.CALL,
}


def _known(ctx: Context, op: Op) -> dict[str, str]:
    """What is known of a node, as text: what its own keys say, as they stand where they do not hold, else its tag.

    Another carrier must not stand in for own keys that do not hold: files that differ would pass for the same.
    """
    props = metadata.props_of(op.node)
    own = {name: props[key] for name, key in _OWN_KEYS.items() if key in props}
    tag = metadata.own_tag(props) if own else ctx.tags.get(op)
    if tag is None:
        return own
    return {
        "module": module_of(tag),
        "tag": tag.tag,
        "source": tag.source.label,
        "origins": listed(tag.origins),
        "call": listed(tag.call),
    }


def _changed_fields(before: dict[str, str], after: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    none = module_of(None)
    # Where one says nothing at all, the other's module tells enough.
    names = list(_OWN_KEYS) if before and after else ["module"]
    values = [(name, before.get(name, none), after.get(name, none)) for name in names]
    return tuple((name, one, other) for name, one, other in values if one != other)


def listed(paths: Sequence[str]) -> str:
    """Module paths in a line, ``(none)`` if there are none."""
    return ", ".join(path or "(root)" for path in paths) or "(none)"
