"""What `diff` finds out about two tagged models: which nodes pair up, and what is known of them differently."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import MAIN, Op, operator
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.querying import module_of
from onnx_tagger.workflows.reading import Tagged


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


@dataclass(frozen=True, slots=True)
class Differences:
    """What two files do not share, with the files.

    Attributes
    ----------
    before, after : Tagged
    difference : Difference
    by_module : ModuleTable
        Its nodes by module: only in the one, only in the other, and changed.
    """

    before: Tagged
    after: Tagged
    difference: Difference
    by_module: ModuleTable

    @property
    def names(self) -> tuple[str, str]:
        """What the files are called."""
        return self.before.name, self.after.name


def differences(
    before: Tagged, after: Tagged, ignore: Collection[str] = (), under: str | Sequence[str] | None = None
) -> Differences:
    """Compare two files node by node, and count what differs by module.

    Parameters
    ----------
    before, after : Tagged
    ignore : collection of str
        Fields that are not compared: ``module``, ``tag``, ``source``, ``origins``, ``call``.
    under : str or sequence of str, optional
        Only nodes that do work of these modules, in either file; see `onnx_tagger.hierarchy.globs`.

    Raises
    ------
    TaggerError
        If a field or a module is not known.
    """
    unknown = sorted(set(ignore) - FIELDS.keys())
    if unknown:
        choice = f"choose from {', '.join(FIELDS)}"
        raise TaggerError(f"no field is named {unknown[0]!r}: {advice_on(unknown[0], FIELDS, choice)}")
    found = diff(before.context, after.context, ignore)
    if under is not None:
        found = _only_under(before, after, found, under)
    table = _counts(before, {"only before": found.only_before, "changed": [change.before for change in found.changed]})
    both = table.join(_counts(after, {"only after": found.only_after}))
    return Differences(before, after, found, both.select(["only before", "only after", "changed"]))


def _only_under(before: Tagged, after: Tagged, found: Difference, under: str | Sequence[str]) -> Difference:
    inside, problems = [], []
    for tagged in (before, after):
        try:
            inside.append(set(tagged.ops(under)))
        except TaggerError as error:
            inside.append(set())
            problems.append(error)
    if len(problems) == 2:
        raise problems[0]
    old, new = inside
    return Difference(
        [op for op in found.only_before if op in old],
        [op for op in found.only_after if op in new],
        [change for change in found.changed if change.before in old or change.after in new],
        found.paired,
    )


def _counts(tagged: Tagged, groups: Mapping[str, Collection[Op]]) -> ModuleTable:
    """How many nodes of each group a module has."""
    ops = tagged.measured.ops
    members = {name: set(group) for name, group in groups.items()}
    return tagged.table([Measure(Column(name), [float(op in group) for op in ops]) for name, group in members.items()])


def diff(before: Context, after: Context, ignore: Collection[str] = ()) -> Difference:
    """Pair the nodes of two models and compare what is known of each, save for the fields to ignore.

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
            fields = _changed_fields(_known(before, op), _known(after, pairs[op]), ignore)
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


FIELDS = {
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
    own = {name: props[key] for name, key in FIELDS.items() if key in props}
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


def _changed_fields(
    before: dict[str, str], after: dict[str, str], ignore: Collection[str]
) -> tuple[tuple[str, str, str], ...]:
    none = module_of(None)
    # Where one says nothing at all, the other's module tells enough.
    names = list(FIELDS) if before and after else ["module"]
    values = [(name, before.get(name, none), after.get(name, none)) for name in names]
    return tuple((name, one, other) for name, one, other in values if one != other and name not in ignore)


def listed(paths: Sequence[str]) -> str:
    """Module paths in a line, ``(none)`` if there are none."""
    return ", ".join(path or "(root)" for path in paths) or "(none)"
