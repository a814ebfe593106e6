"""Modules and tags seen from a module as the root, and back again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import onnx

from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.model.graph import bodies
from onnx_tagger.model.metadata import (
    UNKNOWN_CLASS,
    Source,
    Tag,
    clear_node,
    escape_class,
    own_tag,
    props_of,
    write_node,
)
from onnx_tagger.workflows.cutting.region import lies_under


def inner_path(module: str, path: str) -> str:
    """The path of a module seen from one around it.

    Examples
    --------
    >>> inner_path("encoder.layer.0.attention", "encoder.layer.0"), inner_path("a", "a"), inner_path("a", "")
    ('attention', '', 'a')
    """
    return module if not path else module[len(path) + 1 :]


def rerooted(tree: HierarchyMap, path: str) -> HierarchyMap:
    """The part of a map that lies in a module, with this module as the root and tags that begin at it."""
    inside = [module for module in tree.modules if lies_under(module.path, path)]
    if path not in tree.by_path:
        inside.insert(0, Module(path, "", None))  # a container that no node names
    tags: dict[str, str | None] = {}
    made = []
    for module in sorted(inside, key=lambda one: one.path.count(".") + bool(one.path)):
        name = inner_path(module.path, path)
        tags[module.path] = _tag(module, name, tags, path)
        parent = None if module.path == path else inner_path(module.parent or "", path)
        aliases = tuple(
            inner_path(alias, path) for alias in module.aliases if lies_under(alias, path) and alias != path
        )
        made.append(replace(module, path=name, tag=tags[module.path], parent=parent, aliases=aliases))
    order = {module.path: place for place, module in enumerate(inside)}
    made.sort(key=lambda one: order[joined(path, one.path)])
    parameters = tuple(
        replace(one, name=inner_path(one.name, path), owner=inner_path(one.owner, path))
        for one in tree.parameters
        if lies_under(one.owner, path) and lies_under(one.name, path)
    )
    return HierarchyMap(tuple(made), parameters, created_by=tree.created_by)


def _tag(module: Module, name: str, tags: dict[str, str | None], path: str) -> str | None:
    """The tag of a module whose parents have theirs."""
    if not name:
        return f"/{escape_class(module.class_name) or UNKNOWN_CLASS}"
    if module.tag is None:
        return None
    above = module.parent
    while above is not None and above != path and tags.get(above) is None:
        above = above.rpartition(".")[0] if above else None
    around = above if above is not None and lies_under(above, path) else path
    cls, *keys = module.tag.rpartition("/")[2].split(".")
    # Keys of containers that are now around the root, or are it, are gone.
    room = module.path[len(around) + 1 if around else 0 :].count(".") + 1
    return f"{tags[around]}/{'.'.join([cls, *keys[-room:]] if keys else [cls])}"


def joined(path: str, inner: str) -> str:
    """The path of a module that another one knows by an inner path.

    Examples
    --------
    >>> joined("encoder", "layer.0"), joined("", "a"), joined("a", "")
    ('encoder.layer.0', 'a', 'a')
    """
    return f"{path}.{inner}" if path and inner else path or inner


def relative_tag(tag: Tag, path: str, tree: HierarchyMap) -> Tag:
    """A tag seen from a module as the root.

    Parameters
    ----------
    tag : Tag
    path : str
        The module.
    tree : HierarchyMap
        What `rerooted` gives for it.

    Returns
    -------
    Tag
        That of the root, as inherited, for work of modules outside.
    """
    inside = sorted({inner_path(module, path) for module in tag.modules if lies_under(module, path)})
    root = tree.by_path[""].tag or ""
    if not inside:
        return Tag("", root, Source.INHERITED)
    module = inner_path(tag.module, path) if lies_under(tag.module, path) else _around(inside)
    known = tree.by_path.get(module)
    if known is None or known.tag is None:
        module, known = "", tree.by_path[""]
    origins = tuple(inside) if len(inside) > 1 else ()
    calls = [_inner_call(text, path) for text in tag.call]
    return Tag(module, known.tag or root, tag.source, origins, tuple(text for text in calls if "@" in text))


def absolute_tag(tag: Tag, path: str, tree: HierarchyMap) -> Tag:
    """A tag of a part seen from the model that it was taken from."""
    module = joined(path, tag.module)
    known = tree.by_path.get(module)
    while known is not None and known.tag is None and known.parent is not None:
        known = tree.by_path[known.parent]
    if known is None or known.tag is None:
        known = tree.by_path[""]
    origins = tuple(sorted(joined(path, origin) for origin in tag.origins))
    return Tag(known.path, known.tag or "", tag.source, origins, ())


def _around(paths: Iterable[str]) -> str:
    """The innermost path around several."""
    parts = [path.split(".") if path else [] for path in paths]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared)


def _inner_call(text: str, path: str) -> str:
    parts = text.split(".")
    skip = path.count(".") + 1 if path else 0
    named = ".".join(part.partition("@")[0] for part in parts[:skip])
    return ".".join(parts[skip:]) if named == path else ""


def retag_node(node: onnx.NodeProto, tag: Tag | None, path: str, tree: HierarchyMap, also: tuple[str, ...]) -> None:
    """Write the tag of a node, and of those in its bodies, as seen from a module.

    Parameters
    ----------
    node : onnx.NodeProto
    tag : Tag or None
        What is known of it; its own keys count if left out.
    path : str
        The module.
    tree : HierarchyMap
        What `rerooted` gives for it.
    also : tuple of str
        Dialects that the model carries.
    """
    found = tag or (own_tag(props_of(node)) if node.metadata_props else None)
    clear_node(node, also)
    if found is not None:
        write_node(node, relative_tag(found, path, tree), also)
    for _, body in bodies(node):
        for inner in body.node:
            retag_node(inner, None, path, tree, also)
