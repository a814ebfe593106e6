"""From items to functions: what a module's function reads, gives and holds, and which modules can share one.

Two bodies are equal if they have the same operators with the same attributes, connected in the same way, and tags that
are the same as seen from the module. A function that is called once holds its nodes as they were; one that is shared
has names of its own and, as origins, the modules of all its calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain

import onnx

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.keys import CLASSES, MODULES_DOMAIN
from onnx_tagger.model.metadata import Tag, clear_node, write_node
from onnx_tagger.model.texts import brief
from onnx_tagger.passes.folding.contraction import Item
from onnx_tagger.passes.folding.renaming import LOCAL, nodes_of, number_bodies, rename

DOMAIN = MODULES_DOMAIN
"""The domain of functions that are modules."""

VERSION = 1
"""Of that domain."""


@dataclass(eq=False, slots=True)
class Function:
    """A function with its calls.

    Attributes
    ----------
    name : str
        In `DOMAIN`.
    module : str
        The module of the first call.
    calls : list of Item
    """

    name: str
    module: str
    calls: list[Item] = field(default_factory=list)

    def __repr__(self) -> str:
        return brief(self, self.name, f"{len(self.calls)} calls")

    @property
    def shared(self) -> bool:
        """Whether it has more than one call, counting those in shared functions once for each of their calls."""
        return len(self.calls) > 1


def key_of(
    members: Sequence[Item], reads: Sequence[str], makes: Sequence[str], module: str, tree: HierarchyMap
) -> bytes:
    """A digest that bodies share which can be one function.

    Parameters
    ----------
    members : sequence of Item
        In the order of the body.
    reads, makes : sequence of str
        Its inputs and outputs, in order.
    module : str
        Path of the module, which tags are seen from.
    tree : HierarchyMap
    """
    names = own_names(members, reads, makes, "")
    # A function is called by its class.
    digest = sha256((tree.by_path[module].class_name + "\0").encode())
    for item in members:
        node = bare(item.node, names)
        node.ClearField("name")
        digest.update(node.SerializeToString(deterministic=True) + b"\0")
        for tag in item.tags:
            digest.update(repr(_seen_from(tag, module, tree)).encode() + b"\0")
    digest.update(repr([names[name] for name in (*reads, *makes)]).encode())
    return digest.digest()


def _seen_from(tag: Tag | None, module: str, tree: HierarchyMap) -> object:
    """A tag without the path of the module that it is seen from, and without the number of its calls."""
    if tag is None:
        return None
    depth = module.count(".") + 1 if module else 0
    calls = [call.split(".")[depth:] for call in tag.call]
    paths = [path[len(module) :] for path in tag.modules]
    return paths, [class_inside(path, module, tree) for path in tag.modules], tag.source.label, calls


def class_inside(path: str, module: str, tree: HierarchyMap) -> str:
    """The class path of a module from the one around it on; empty where it has none."""
    return (tree.by_path[path].tag or "")[len(tree.by_path[module].tag or "") :]


def own_names(members: Sequence[Item], reads: Sequence[str], makes: Sequence[str], module: str) -> dict[str, str]:
    """Names for the tensors of a shared body: weights by their place in the module, others by what makes them."""
    taken: set[str] = set()
    found: dict[str, str] = {}

    def give(name: str, wish: str) -> None:
        wish = f"_{wish}" if wish.startswith(LOCAL) else wish
        while wish in taken:
            wish += "_"
        taken.add(wish)
        found[name] = wish

    for at, name in enumerate(reads):
        inside = bool(module) and name.startswith(f"{module}.")
        give(name, name[len(module) + 1 :] if inside else f"input_{at}")
    for at, name in enumerate(makes):
        give(name, f"output_{at}")
    for at, item in enumerate(members):
        for place, name in enumerate(item.makes):
            if name not in found:
                give(name, f"{item.node.op_type}_{at}" + (f"_{place}" if place else ""))
    return found


def bare(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    """A copy of a node with other names of tensors, and with nothing that tells where it is from."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    number_bodies(made)
    rename(made, names)
    for inner in nodes_of(made):
        inner.ClearField("metadata_props")
        inner.ClearField("doc_string")
    return made


def proto_of(function: Function, tree: HierarchyMap, opsets: Sequence[onnx.OperatorSetIdProto]) -> onnx.FunctionProto:
    """The function as ONNX has it.

    Parameters
    ----------
    function : Function
    tree : HierarchyMap
        In which the origins of shared nodes have a module around them.
    opsets : sequence of OperatorSetIdProto
        Of the model; those of the operators in the body are taken.
    """
    first = function.calls[0]
    made = onnx.FunctionProto(name=function.name, domain=DOMAIN)
    if function.shared:
        names = own_names(first.members, first.node.input, first.node.output, function.module)
        made.node.extend(_shared_nodes(function, names, tree))
        made.metadata_props.add(key=CLASSES, value=json.dumps(_classes_in(function, tree), ensure_ascii=False))
    else:
        names = {}
        made.node.extend(item.node for item in first.members)
    made.input.extend(names.get(name, name) for name in first.node.input)
    made.output.extend(names.get(name, name) for name in first.node.output)
    used = {"", *(node.domain for top in made.node for node in nodes_of(top))}
    used = {"" if domain == "ai.onnx" else domain for domain in used}
    made.opset_import.extend(opset for opset in opsets if (opset.domain if opset.domain != "ai.onnx" else "") in used)
    return made


def _classes_in(function: Function, tree: HierarchyMap) -> dict[str, str]:
    """Path to class path of the modules in a function, both as from its own module on."""
    tags = chain.from_iterable(item.tags for item in function.calls[0].members)
    paths = sorted({path for tag in tags if tag is not None for path in tag.modules} - {function.module})
    inside = {path: class_inside(path, function.module, tree) for path in paths}
    return {path[len(function.module) + 1 :]: cls for path, cls in inside.items() if cls}


def _shared_nodes(function: Function, names: dict[str, str], tree: HierarchyMap) -> Iterator[onnx.NodeProto]:
    first = function.calls[0]
    tags: Iterator[tuple[Tag | None, ...]] = zip(
        *(chain.from_iterable(item.tags for item in call.members) for call in function.calls), strict=True
    )
    for at, item in enumerate(first.members):
        node = bare(item.node, names)
        node.name = _name_in(item, function.module) or f"{node.op_type}_{at}"
        for inner in nodes_of(node):
            known = [tag for tag in next(tags) if tag is not None]
            if known:
                write_node(inner, tree.merged(known), ())
        yield node


def _name_in(item: Item, module: str) -> str:
    """What a call is named in a shared body: the path of its module from there."""
    return item.node.name[len(module) + 1 :] if item.members and item.node.name.startswith(f"{module}.") else ""


def write_tags(node: onnx.NodeProto, tag: Tag) -> None:
    """Write the tag of a call."""
    clear_node(node, ())
    write_node(node, tag, ())
