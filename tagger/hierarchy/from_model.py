"""A hierarchy map from an ONNX file alone: from our own keys, torch's keys, or the class paths of a dialect.

Such a map knows only the modules that the file names. A tagged file so serves as a map for files made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote

import onnx

from onnx_tagger.errors import FileFormatError
from onnx_tagger.hierarchy.calls import modules_of_calls
from onnx_tagger.hierarchy.carriers import folded_module
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.naming import ModuleRow, level_paths, parent_path
from onnx_tagger.model.dialects import READABLE, claims
from onnx_tagger.model.graph import Walk, walk
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.metadata import (
    MAP,
    MAX_PARTS,
    Tag,
    class_of,
    escape_attribute,
    model_value,
    own_tag,
    props_of,
    segments,
)

# The one class of torch that both runs by itself and gives its children their keys as names.
_KEYED_CLASS = "Sequential"


def hierarchy_of_model(
    model: onnx.ModelProto, *, dialects: Iterable[str] = READABLE, own: bool = True
) -> HierarchyMap | None:
    """Make a map of what a file says of itself.

    Parameters
    ----------
    model : onnx.ModelProto
    dialects : iterable of str
        Foreign carriers to read where our own keys are missing.
    own : bool
        Whether our own keys are read.

    Returns
    -------
    HierarchyMap or None
        None if the file names no module.
    """
    walked = walk(model)
    tags = [own_tag(props_of(op.node)) if own and op.node.metadata_props else None for op in walked.ops]
    found = _from_own(tags, dict(modules_of_calls(model)) if own else {})
    if found is None:
        found = _from_claims(walked, tuple(dialects))
    if found is None:
        return None
    return replace(found, digest=model_value(model, MAP))


def _from_own(tags: Iterable[Tag | None], called: Mapping[str, str]) -> HierarchyMap | None:
    """Modules of our own keys, and those of calls; of nodes that contradict each other the first is believed."""
    known: dict[str, str] = {}
    taken: set[str] = set()
    origins: set[str] = set()
    for tag in tags:
        if tag is None:
            continue
        origins.update(tag.origins)
        if tag.module not in known and tag.tag not in taken:
            known[tag.module] = tag.tag
            taken.add(tag.tag)
    if not known:
        return None
    for path, name in called.items():
        if path not in known and name not in taken:
            known[path] = name
            taken.add(name)
    _insist_on_few(known)
    root = "/" + next(iter(known.values())).split("/")[1]
    levels = _levels(known, taken)
    tree: dict[str, str | None] = {"": root, **levels, **dict.fromkeys(sorted(origins - {"", *levels})), **known}
    _insist_on_few(tree)
    return HierarchyMap(_linked(tree))


def _levels(known: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    """Module path to tag of the levels that no node is tagged with, as far as all nodes below agree on their paths."""
    said: dict[str, set[str]] = {}
    for path, tag in known.items():
        for level, place in level_paths(path, tag).items():
            if level not in taken:
                said.setdefault(level, set()).add(place)
    sure = {level: min(places) for level, places in said.items() if len(places) == 1}
    for path, tag in known.items():
        for level in _above(tag):
            if level in sure and not path.startswith(f"{sure[level]}."):
                del sure[level]
    found: dict[str, str] = {}
    for level, place in sure.items():
        if place not in known:
            found.setdefault(place, level)
    return found


def _above(tag: str) -> Iterator[str]:
    """The class paths above one, the innermost first, without the root's."""
    tag = tag.rpartition("/")[0]
    while tag.count("/") > 1:
        yield tag
        tag = tag.rpartition("/")[0]


def _insist_on_few(modules: Collection[object]) -> None:
    most = input_limits().modules
    if len(modules) > most:
        raise FileFormatError(f"the nodes name more than {most} modules; {advice('modules')}")


def _linked(tree: dict[str, str | None]) -> tuple[Module, ...]:
    """Modules with their parents: the nearest path that the tree has."""
    modules = []
    for path, tag in tree.items():
        parent = parent_path(path)
        while parent not in tree:
            parent = parent_path(parent)
        modules.append(Module(path, class_of(tag) if tag else "", tag, parent if path else None))
    return tuple(modules)


def _from_claims(walked: Walk, dialects: tuple[str, ...]) -> HierarchyMap | None:
    """Modules of foreign carriers: torch's stacks if there are any, else class paths."""
    stacks: dict[str, str] = {}
    paths: dict[str, None] = {}
    folded: dict[str, None] = {}
    for op in walked.ops:
        if not op.node.metadata_props:
            continue
        if (owner := folded_module(op)) is not None:
            folded.setdefault(owner)
        for claim in claims(op.node, dialects):
            for path, name in claim.stack:
                stacks.setdefault(path, name)
            if claim.tag is not None:
                paths.setdefault(claim.tag)
        _insist_on_few(stacks)
    if "" in stacks:
        rows = [ModuleRow(p, name, keyed=name == _KEYED_CLASS) for p, name in stacks.items()]
        # Of these the file says where they are, but not of which class.
        rows += [ModuleRow(path, "", tagged=False) for path in folded if path not in stacks]
        _insist_on_few(rows)
        return HierarchyMap.from_rows(rows)
    return _from_class_paths(paths)


def _from_class_paths(tags: Iterable[str]) -> HierarchyMap | None:
    """Modules of bare class paths: the attributes are not known, so the class path itself serves as module path."""
    tree: dict[str, str | None] = {}
    root = ""
    for tag in tags:
        parts = segments(tag) or []
        first, *spelled = tag[1:].split("/")
        root = root or first
        if first != root or parts[0][1]:
            continue
        prefix, path = "/" + root, ""
        tree.setdefault("", prefix)
        for text, (name, keys) in zip(spelled, parts[1:], strict=True):
            # A tag that is escaped as none of ours is would belong to no path.
            if any(escape_attribute(unquote(key)) != key for key in keys) or path.count(".") >= MAX_PARTS:
                break
            prefix += f"/{text}"
            # Where the class is not known the attributes are.
            step = ".".join(map(unquote, (name, *keys) if name else keys))
            path = f"{path}.{step}" if path else step
            tree.setdefault(path, prefix)
        _insist_on_few(tree)
    return HierarchyMap(_linked(tree)) if tree else None
