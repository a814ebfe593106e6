"""Choosing modules by a pattern: one set of rules wherever a command or a function takes a module.

A pattern without wildcards is a module path, an alias or a tag. Otherwise ``*`` and ``?`` stay inside one part of a
dotted path, ``**`` crosses any number of parts, also none, and ``<Name>`` is a module by the name of its class, which
may hold wildcards, too. A pattern that begins with a class may begin anywhere in the tree; one that begins with ``/``
is matched with tags, part by part, and not with paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import Module, ModuleTree
from onnx_tagger.model.suggestions import advice_on

_CROSS = "**"
_WILD = re.compile(r"[*?\[<]")
_PARTS = re.compile(r"<[^<>]*>|[^.<>]+")


def select(tree: ModuleTree, pattern: str) -> list[Module]:
    """The modules that a pattern names.

    Parameters
    ----------
    tree : ModuleTree
    pattern : str
        See above; ``""`` and ``(root)`` are the root.

    Returns
    -------
    list of Module
        In the order of the tree, at least one.

    Raises
    ------
    TaggerError
        If the pattern names none; the message advises.

    Examples
    --------
    >>> from onnx_tagger.hierarchy.map import HierarchyMap
    >>> from onnx_tagger.hierarchy.naming import ModuleRow
    >>> rows = [ModuleRow("", "Net"), ModuleRow("layers", "ModuleList", tagged=False, keyed=True)]
    >>> rows += [ModuleRow(f"layers.{k}{name}", cls) for k in "01" for name, cls in (("", "Blk"), (".fc", "Linear"))]
    >>> tree = ModuleTree(HierarchyMap.from_rows(rows))
    >>> [module.path for module in select(tree, "layers.*.fc")]
    ['layers.0.fc', 'layers.1.fc']
    >>> [module.path for module in select(tree, "<Blk>")]
    ['layers.0', 'layers.1']
    >>> len(select(tree, "layers.**")), len(select(tree, "/Net/Blk.1/**"))
    (5, 2)
    """
    exact = tree.find("" if pattern == "(root)" else pattern)
    if exact is not None:
        return [exact]
    if not _WILD.search(pattern):
        raise TaggerError(f"no module has the path or tag {pattern!r}: {tree.advice(pattern)}")
    found = _by_tag(tree, pattern) if pattern.startswith("/") else _by_path(tree, pattern)
    if not found:
        raise TaggerError(f"no module matches {pattern!r}: {_advice(tree, pattern)}")
    return found


def under(tree: ModuleTree, patterns: str | Iterable[str]) -> frozenset[str]:
    """The paths of the modules that one of several patterns names, and of all modules in them.

    Raises
    ------
    TaggerError
        If one of the patterns names none.
    """
    texts = [patterns] if isinstance(patterns, str) else patterns
    return frozenset(inner.path for text in texts for module in select(tree, text) for inner in module.below())


@dataclass(frozen=True, slots=True)
class _Step:
    """One part of a pattern: it crosses any number of parts, or fits one by name or by class."""

    crosses: bool = False
    name: Callable[[str], object] | None = None
    cls: Callable[[str], object] | None = None

    def fits(self, part: str, cls: str | None) -> bool:
        if self.cls is not None:
            return cls is not None and bool(self.cls(cls))
        return self.name is not None and bool(self.name(part))


def _steps(pattern: str) -> list[_Step]:
    if "".join(_PARTS.findall(pattern)) != pattern.replace(".", "") and not re.search(r"<[^>]*\.", pattern):
        raise TaggerError(f"the module pattern {pattern!r} cannot be read: a class stands between < and >, as one part")
    steps = []
    for text in _PARTS.findall(pattern):
        if text == _CROSS:
            steps.append(_Step(crosses=True))
        elif text.startswith("<"):
            steps.append(_Step(cls=_matcher(text[1:-1])))
        else:
            steps.append(_Step(name=_matcher(text)))
    return [_Step(crosses=True), *steps] if pattern.startswith("<") else steps


def _matcher(text: str) -> Callable[[str], object]:
    # fnmatch knows no `**` within a part; it means what `*` means there.
    return re.compile(translate(text)).match


def _advance(steps: list[_Step], places: frozenset[int], part: str, cls: str | None) -> frozenset[int]:
    """The places in a pattern that are reached from some by one more part."""
    found: set[int] = set()
    for place in places:
        if place < len(steps):
            if steps[place].crosses:
                found.add(place)
            elif steps[place].fits(part, cls):
                found.add(place + 1)
    return _closed(steps, found)


def _closed(steps: list[_Step], places: Iterable[int]) -> frozenset[int]:
    """Places with those that are reached by crossing no part at all."""
    found = set(places)
    for place in sorted(found):
        while place < len(steps) and steps[place].crosses:
            place += 1
            found.add(place)
    return frozenset(found)


def _by_path(tree: ModuleTree, pattern: str) -> list[Module]:
    steps = _steps(pattern)
    start = _closed(steps, {0})
    # The root is no part of any path, but a class may name it.
    reached = {tree.root: start}
    named = len(steps) in _advance(steps, start, "", tree.root.cls) and pattern.startswith("<")
    found = {tree.root} if named or len(steps) in start else set()
    for module in tree.root.below():
        if module.parent is None:
            continue
        reached[module] = _reached(steps, module, module.parent, reached)
        if len(steps) in reached[module]:
            found.add(module)
    return [module for module in tree if module in found]


def _reached(
    steps: list[_Step], module: Module, above: Module, reached: Mapping[Module, frozenset[int]]
) -> frozenset[int]:
    """The places in a pattern that the path of a module reaches, from those that the module around it does."""
    if module.path.startswith("/"):  # a level of which only the class is known
        return _advance(steps, reached[above], "", module.cls)
    places, inside, more = reached[above], module.path[len(above.path) :].strip("."), frozenset[int]()
    if above.path.startswith("/"):
        more = _advance(steps, places, "", module.cls)
        places, inside = _closed(steps, {0}), module.path
    *between, last = inside.split(".")
    for part in between:
        places = _advance(steps, places, part, None)
    return _advance(steps, places, last, module.cls) | more


def _by_tag(tree: ModuleTree, pattern: str) -> list[Module]:
    steps = [
        _Step(crosses=True) if text == _CROSS else _Step(name=_matcher(text)) for text in pattern.strip("/").split("/")
    ]
    found = []
    for module in tree:
        places = _closed(steps, {0})
        for part in module.tag.split("/")[1:] if module.tag else ():
            places = _advance(steps, places, part, None)
        if module.tag and len(steps) in places:
            found.append(module)
    return found


def _advice(tree: ModuleTree, pattern: str) -> str:
    classes = {module.cls for module in tree if module.cls}
    for name in re.findall(r"<([^<>]*)>", pattern):
        if not any(_matcher(name)(cls) for cls in classes):
            return f"no class is named {name!r}, {advice_on(name, classes, 'see onnx-tagger tree')}"
    return "* stays inside one part of a path, ** crosses; see onnx-tagger tree"
