"""How a module is named by its class path, the tag: by the module tree alone, never by inputs or by what ran."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from onnx_tagger.errors import MapError
from onnx_tagger.model.metadata import UNKNOWN_CLASS, escape_attribute, escape_class, segments
from onnx_tagger.model.texts import brief_fields


class ModuleRow(NamedTuple):
    """What naming needs to know of one module.

    Attributes
    ----------
    path : str
        Canonical module path, ``""`` for the root.
    class_name : str
        Name of its class; empty if it is not known.
    tagged : bool
        Whether the class defines `forward`; a ModuleList does not and has no tag.
    keyed : bool
        Whether its children carry their key: ModuleList, ModuleDict and Sequential.
    """

    path: str
    class_name: str
    tagged: bool = True
    keyed: bool = False

    def __repr__(self) -> str:
        return brief_fields(self)


def parent_path(path: str) -> str:
    """The path without its last attribute."""
    return path.rpartition(".")[0]


def class_paths(rows: Sequence[ModuleRow]) -> dict[str, str | None]:
    """Name every module: module path to tag, None for a module without `forward`.

    One segment for each module on the way whose class defines `forward`. A segment is the class name; a child of a
    ModuleList, ModuleDict or Sequential carries its key; while any two sibling segments are equal, each of them takes
    one more part of its attribute path from the right. Siblings are the modules with the same nearest tagged ancestor.

    The segment of a module whose class is not known has its attribute, with the keys of containers behind it, in place
    of the class, and a ``~`` in front, with which no class name begins (``~query``, ``~layer.0``).

    Parameters
    ----------
    rows : sequence of ModuleRow
        The module tree in any order; the root, with the path ``""``, among them.

    Returns
    -------
    dict

    Raises
    ------
    MapError
        If two modules have one path, or there is no root.

    Examples
    --------
    >>> rows = [ModuleRow("", "Net"), ModuleRow("a", "Linear"), ModuleRow("b", "Linear"),
    ...         ModuleRow("list", "ModuleList", tagged=False, keyed=True), ModuleRow("list.0", "Blk")]
    >>> class_paths(rows)
    {'': '/Net', 'a': '/Net/Linear.a', 'b': '/Net/Linear.b', 'list': None, 'list.0': '/Net/Blk.0'}
    """
    by_path = {row.path: row for row in rows}
    if len(by_path) < len(rows):
        twice = next(path for path, count in Counter(row.path for row in rows).items() if count > 1)
        raise MapError(f"two modules have the path {twice!r}: rename one, a tag must name exactly one module")
    if "" not in by_path:
        raise MapError("the module tree has no root: a module with the path '' is needed")
    families: dict[str, list[tuple[str, ModuleRow]]] = defaultdict(list)
    anchor: dict[str, str] = {}
    ordered = sorted(rows, key=lambda row: row.path.count(".") + bool(row.path))
    for row in ordered[1:]:
        above = parent_path(row.path)
        if above not in by_path:
            above = _nearest(above, by_path)
        anchor[row.path] = above if by_path[above].tagged or not above else anchor[above]
        if row.tagged:
            families[anchor[row.path]].append((above, row))
    segment = {"": escape_class(by_path[""].class_name) or UNKNOWN_CLASS}
    for ancestor, members in families.items():
        segment.update(_sibling_segments(ancestor, members, by_path))
    tags = {"": "/" + segment[""]}
    for row in ordered[1:]:
        if row.tagged:
            tags[row.path] = f"{tags[anchor[row.path]]}/{segment[row.path]}"
    return {row.path: tags.get(row.path) for row in rows}


def _nearest(path: str, by_path: dict[str, ModuleRow]) -> str:
    while path and path not in by_path:
        path = parent_path(path)
    return path


def _sibling_segments(
    ancestor: str, members: list[tuple[str, ModuleRow]], by_path: dict[str, ModuleRow]
) -> dict[str, str]:
    """Segments of all modules whose nearest tagged ancestor is `ancestor`, made to differ."""
    skip = ancestor.count(".") + 1 if ancestor else 0
    parts: dict[str, list[str]] = {}
    used: dict[str, int] = {}
    names: dict[str, str] = {}
    for above, row in members:
        parts[row.path] = escape_attribute(row.path).split(".")[skip:]
        # A gap in the tree (a container that the rows do not list) is keyed, too: only containers have no rows.
        direct = parent_path(row.path) == above
        used[row.path] = int(by_path[above].keyed or not direct) if row.class_name else _keys_at_end(parts[row.path])
        names[row.path] = _segment(row, parts[row.path], used[row.path])
    clash = _equal(names)
    while clash:
        grew = False
        for path in clash:
            if used[path] < len(parts[path]):
                used[path] += 1
                names[path] = _segment(by_path[path], parts[path], used[path])
                grew = True
        clash = _equal(names) if grew else []
    return names


def _keys_at_end(parts: list[str]) -> int:
    """How many parts a segment without a class takes: the keys of containers, and the attribute in front of them."""
    return next((count for count, part in enumerate(reversed(parts), 1) if not part.isdigit()), len(parts))


def _segment(row: ModuleRow, parts: list[str], count: int) -> str:
    if not row.class_name:
        return UNKNOWN_CLASS + ".".join(parts[len(parts) - count :])
    name = _escaped(row.class_name)
    return ".".join([name, *parts[len(parts) - count :]]) if count else name


# Many modules are of few classes.
_escaped = lru_cache(maxsize=1024)(escape_class)


def _equal(names: dict[str, str]) -> list[str]:
    counts = Counter(names.values())
    return [path for path, name in names.items() if counts[name] > 1]


def level_paths(path: str, tag: str) -> dict[str, str]:
    """The module paths of the levels that a class path goes through, from the path of the module at its end.

    A segment without a key is one attribute of the module before it; one with keys ends with them, and may have one
    container in front, such as a ModuleList. Only where a single reading is left the paths are given.

    Parameters
    ----------
    path, tag : str
        Of one module.

    Returns
    -------
    dict
        Class path to module path, for the levels between the root and the module; empty if that is not sure.

    Examples
    --------
    >>> level_paths("encoder.layer.0.attn", "/Bert/Encoder/Layer.0/Attn")
    {'/Bert/Encoder': 'encoder', '/Bert/Encoder/Layer.0': 'encoder.layer.0'}
    >>> level_paths("a.b.c", "/Net/A/B")
    {}
    """
    found = segments(tag)
    if found is None or not path:
        return {}
    parts, steps = path.split("."), found[1:]
    escaped = tuple(map(escape_attribute, parts))
    # Where the segments up to each one may end: set by set from the left, then what cannot reach the end is dropped.
    ends = [{0}]
    for _, keys in steps:
        ends.append({end for start in ends[-1] for end in _ends(escaped, start, keys)})
    if len(parts) not in ends[-1]:
        return {}
    ends[-1] = {len(parts)}
    for place in range(len(steps) - 1, -1, -1):
        keys, after = steps[place][1], ends[place + 1]
        ends[place] = {start for start in ends[place] if after.intersection(_ends(escaped, start, keys))}
    if any(len(places) > 1 for places in ends):
        return {}
    levels = tag.split("/")
    return {"/".join(levels[: place + 2]): ".".join(parts[: min(ends[place])]) for place in range(1, len(steps))}


def _ends(parts: tuple[str, ...], start: int, keys: tuple[str, ...]) -> list[int]:
    """Where a segment that begins at `start` may end."""
    if not keys:
        return [start + 1] if start < len(parts) else []
    shortest = start + len(keys)
    return [end for end in (shortest, shortest + 1) if end <= len(parts) and parts[end - len(keys) : end] == keys]
