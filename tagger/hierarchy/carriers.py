"""What a node says of itself, looked up in a map: our own keys, torch's keys, dialects, TorchScript scopes.

Nothing is inferred here, and no graph is compared with another; `Match` does that, and asks here for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.dialects import READABLE, Claim, claims
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import MAX_PARTS, REWRITE_RULE, Source, Tag, own_tag, props_of

# Operators into whose weights torch's exporter folds what comes behind them; then its keys name only the latter.
_FOLDED_INTO = frozenset({"Conv", "ConvTranspose", "Gemm"})

# How believable a foreign carrier's word is: torch's keys come from the exporter itself.
_CARRIER_SOURCE = {"torch": Source.EXPORTED}


def tag_by_itself(op: Op, tree: HierarchyMap, dialects: Iterable[str] = READABLE) -> Tag | None:
    """The tag of a node by what it says of itself, the most believable carrier first.

    Parameters
    ----------
    op : Op
    tree : HierarchyMap
        Where its module is looked up; a carrier that names another one is passed over.
    dialects : iterable of str
        Foreign carriers to read, the most believable first.
    """
    own = own_tag(props_of(op.node)) if op.node.metadata_props else None
    if own is not None and (known := known_tag(own, tree)) is not None:
        return known
    said = (_tag_of_op(op, claim, tree) for claim in claims(op.node, tuple(dialects)))
    return next((tag for tag in said if tag is not None), None) or tag_of_scope_name(op, tree)


def known_tag(tag: Tag, tree: HierarchyMap) -> Tag | None:
    """A tag read from our own keys, if the map knows its module and its origins."""
    module = tree.resolve(tag.module)
    if module is None or module.tag is None:
        return None
    origins = [found.path for path in tag.origins if (found := tree.resolve(path)) is not None]
    if len(origins) < len(tag.origins):
        return None
    return tree.tag(module.path, tag.source, origins, tag.call)


def resolve_claim(claim: Claim, tree: HierarchyMap) -> str | None:
    """The tagged module that a foreign carrier means, or None if the map has none."""
    module = None
    if claim.module is not None:
        module = tree.resolve(claim.module)
        while module is not None and module.tag is None and module.path:
            module = tree.by_path.get(module.parent or "")
    elif claim.tag is not None:
        module = tree.by_tag.get(claim.tag)
    return module.path if module is not None and module.tag is not None else None


def tag_of_claim(claim: Claim, tree: HierarchyMap) -> Tag | None:
    """The tag that a foreign carrier's word comes to, or None if the map has no such module."""
    path = resolve_claim(claim, tree)
    return tree.tag(path, _CARRIER_SOURCE.get(claim.carrier, Source.MATCHED)) if path is not None else None


def _tag_of_op(op: Op, claim: Claim, tree: HierarchyMap) -> Tag | None:
    tag = tag_of_claim(claim, tree)
    return with_folded(op, tag, tree) if tag is not None and claim.carrier == "torch" else tag


def with_folded(op: Op, tag: Tag, tree: HierarchyMap) -> Tag:
    """The tag by torch's keys, and with it the module whose weight the node reads if another's work was folded into it.

    Of a convolution with a folded normalisation torch names the normalisation alone.
    """
    path = folded_module(op)
    module = tree.resolve(path) if path is not None else None
    if module is None or module.path in tag.modules:
        return tag
    origins = (*tag.modules, module.path)
    return tree.tag(tree.enclosing(origins), tag.source, origins, tag.call)


def folded_module(op: Op) -> str | None:
    """The path of the module into whose weight, as its name says, torch's exporter folded what the node's keys name."""
    node = op.node
    if node.op_type not in _FOLDED_INTO or len(node.input) < 2 or node.input[1].count(".") > MAX_PARTS:
        return None
    owner = node.input[1].rpartition(".")[0]
    return owner if owner and "Fuse" in props_of(node).get(REWRITE_RULE, "") else None


def tag_of_scope_name(op: Op, tree: HierarchyMap) -> Tag | None:
    """The module that a TorchScript node name spells, ``/encoder/layer.0/query/MatMul``, if the tree has it.

    The name is believed only if it ends with the operator and every part leads from a module to one of its
    descendants; ``layer.0`` is the child ``0`` of the container ``layer``.
    """
    name = op.node.name
    if not name.startswith("/") or max(name.count("/"), name.count(".")) > MAX_PARTS:
        return None
    *parts, last = name[1:].split("/")
    stem, _, number = last.rpartition("_")
    if last != op.node.op_type and not (stem == op.node.op_type and number.isdigit()):
        return None
    ways = modules_on(parts, tree)
    if len(ways) < len(parts):
        return None
    module = tree.by_path[ways[-1] if ways else ""]
    return tree.tag(module.path, Source.MATCHED) if module.tag is not None else None


def modules_on(parts: Iterable[str], tree: HierarchyMap) -> list[str]:
    """The modules on the way that the parts of a TorchScript scope spell, as far as the tree has them."""
    found: list[str] = []
    for part in parts:
        below = _step(found[-1] if found else "", part, tree)
        if below is None:
            break
        found.append(below)
    return found


def scope_in(name: str) -> str:
    """The scope in a TorchScript node name.

    Examples
    --------
    >>> scope_in("/encoder/layer.0/query/MatMul_1")
    '/encoder/layer.0/query'
    """
    return name.rpartition("/")[0]


def _step(path: str, part: str, tree: HierarchyMap) -> str | None:
    """The module below `path` that one part of a scope means, which may end with the number of a second call."""
    found = _below(path, part, tree)
    stem, _, number = part.rpartition("_")
    return _below(path, stem, tree) if found is None and number.isdigit() else found


def _below(path: str, part: str, tree: HierarchyMap) -> str | None:
    """The module below `path` that has this path from the last attribute that is no number.

    The part may repeat what `path` already says: below ``seq.2``, the part ``seq.2.0`` is the child ``0``.
    """
    if not part:
        return None
    atoms = part.split(".")
    for skip in range(len(atoms)):
        module = tree.resolve(".".join([path, *atoms[skip:]] if path else atoms[skip:]))
        if module is not None and unqualified(module.path) == part:
            return module.path
    return None


def unqualified(path: str) -> str:
    """A module path from its last attribute that is no number, as TorchScript scopes spell it."""
    atoms = path.split(".")
    start = next((i for i in reversed(range(len(atoms))) if not atoms[i].isnumeric()), 0)
    return ".".join(atoms[start:])
