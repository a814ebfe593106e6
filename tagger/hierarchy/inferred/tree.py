"""The module tree that all names of a file give together, and the modules that each node's names say.

A scope is read as a path by the other names: TorchScript repeats the attribute in front of a key
(``/layer/layer.0`` is ``layer.0``), and numbers the second call of a module (``/act_1``) as if it were another one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx

from onnx_tagger.errors import FileFormatError
from onnx_tagger.hierarchy.inferred.names import Scope, owner_of_parameter, scope_of_doc, scope_of_name
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow, parent_path
from onnx_tagger.model.graph import MAIN, Op, Walk, walk
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.metadata import text_of
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.version import version

_SECOND = re.compile(r"(.+)_[0-9]+")


@dataclass(frozen=True)
class Inferred:
    """What the names of a file say.

    Attributes
    ----------
    tree : HierarchyMap
        The modules that are named, and those around them; a class is known only where a doc string says it.
    modules : sequence of tuple of str
        For each op of the walk the module paths that its own names say, none if they say nothing.
    owners : mapping
        Stored tensor of the main graph to the path of the module that its name says.
    """

    tree: HierarchyMap
    modules: Sequence[tuple[str, ...]]
    owners: Mapping[str, str]

    def __repr__(self) -> str:
        named = sum(map(bool, self.modules))
        return brief(self, counted(len(self.tree.modules), "module"), counted(named, "named node"))


def infer_tree(model: onnx.ModelProto, walked: Walk | None = None) -> Inferred | None:
    """Read the module tree off the names in a model.

    Parameters
    ----------
    model : onnx.ModelProto
        Tensor payloads may be missing.
    walked : Walk, optional
        Of the model, if it is at hand.

    Returns
    -------
    Inferred or None
        None if no name says a module.

    Raises
    ------
    FileFormatError
        If there are more modules than the limits on inputs allow.

    Examples
    --------
    >>> from onnx import helper
    >>> node = helper.make_node("MatMul", ["x", "w"], ["y"], "/encoder/layer.0/query/MatMul")
    >>> found = infer_tree(helper.make_model(helper.make_graph([node], "g", [], [])))
    >>> [(module.path, module.tag) for module in found.tree.modules][-1]
    ('encoder.layer.0.query', '/~/~encoder/~layer.0/~query')
    """
    ops = (walked or walk(model)).ops
    owners = _owners(model)
    said = [_scopes(op) for op in ops]
    paths = _Paths(owners.values(), said)
    modules = [tuple(dict.fromkeys(paths.of(scope) for scope in scopes)) for scopes in said]
    named = dict.fromkeys(path for found in modules for path in found)
    named.update(dict.fromkeys(owners.values()))
    if not any(named):
        return None
    direct = {path for found in modules for path in found}
    tree = HierarchyMap.from_rows(_rows(named, direct, paths.classes), f"onnx-tagger {version()}, inferred from names")
    return Inferred(tree, modules, owners)


def _owners(model: onnx.ModelProto) -> dict[str, str]:
    """Stored tensors to the modules in their names."""
    graph = model.graph
    stored = (*graph.initializer, *(tensor.values for tensor in graph.sparse_initializer))
    found = ((name, owner_of_parameter(name)) for name in (text_of(tensor.name) for tensor in stored))
    return {name: owner for name, owner in found if owner is not None}


def _scopes(op: Op) -> tuple[Scope, ...]:
    """The different scopes in the names of a node and of what it makes; a doc string's alone, as it says classes."""
    node = op.node
    written = scope_of_doc(text_of(node.doc_string)) if node.doc_string else None
    if written is not None:
        return (written,)
    names = [node.name, *(map(text_of, node.output) if op.scope.family == MAIN else ())]
    found = (scope_of_name(name, node.op_type) for name in names if name)
    return tuple(dict.fromkeys(scope for scope in found if scope is not None))


class _Paths:
    """Scopes as module paths."""

    def __init__(self, owners: Iterable[str], said: Iterable[Sequence[Scope]]) -> None:
        self.stored = _with_parents(owners)
        # A child that was called from outside its parent is spelled without what is around it.
        self.endings: dict[str, str | None] = {}
        for known in self.stored:
            ending = _unqualified(known)
            self.endings[ending] = None if ending in self.endings else known
        self.classes: dict[str, str] = {}
        self.known: dict[Scope, str] = {}
        # What each scope holds, as it is spelled: a second call of a module holds what the first does.
        self.contents: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for scopes in dict.fromkeys(said):
            for scope in scopes:
                names = tuple(step.name for step in scope if step.name)
                for place in range(len(names)):
                    self.contents[names[: place + 1]].update(names[place + 1 : place + 2])

    def of(self, scope: Scope) -> str:
        """The path of a scope, the same for all nodes in it."""
        path = self.known.get(scope)
        if path is None:
            path = self.known[scope] = self._walked(scope)
        return path

    def _walked(self, scope: Scope) -> str:
        path = ""
        spelled: tuple[str, ...] = ()
        for step in scope:
            if step.name:
                path = self._below(path, step.name, spelled)
                spelled = (*spelled, step.name)
            if step.class_name:
                self.classes.setdefault(path, step.class_name)
        return path

    def _below(self, path: str, name: str, spelled: tuple[str, ...]) -> str:
        """The path of a level below another one."""
        found = self._joined(path, name)
        second = _SECOND.fullmatch(name)
        if found in self.stored:
            return found
        if not path and (elsewhere := self.endings.get(name)):
            return elsewhere
        if second is None:
            return found
        stem = second.group(1)
        first = self._joined(path, stem)
        if first in self.stored or self._holds_the_same((*spelled, name), (*spelled, stem)):
            return first
        return found

    def _holds_the_same(self, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
        return other in self.contents and self.contents[one] <= self.contents[other]

    def _joined(self, path: str, name: str) -> str:
        """A level may repeat the attribute and the keys that `path` ends with; then it is a child of that."""
        plain = f"{path}.{name}" if path else name
        repeated = _unqualified(path)
        if not repeated or not name.startswith(f"{repeated}."):
            return plain
        child = f"{path}.{name[len(repeated) + 1 :]}"
        return plain if plain in self.stored and child not in self.stored else child


def _unqualified(path: str) -> str:
    """A path from its last attribute that is no number."""
    atoms = path.split(".")
    start = next((i for i in reversed(range(len(atoms))) if not atoms[i].isdigit()), 0)
    return ".".join(atoms[start:])


def _with_parents(paths: Iterable[str]) -> dict[str, None]:
    """Paths with all that are around them, the outer ones first."""
    found: dict[str, None] = {"": None}
    most = input_limits().modules
    for path in dict.fromkeys(paths):
        missing = []
        while path not in found:
            missing.append(path)
            path = parent_path(path)
        found.update(dict.fromkeys(reversed(missing)))
        if len(found) > most:
            raise FileFormatError(f"the names say more than {most} modules; {advice('modules')}")
    return found


def _rows(named: Iterable[str], direct: set[str], classes: Mapping[str, str]) -> list[ModuleRow]:
    """What naming needs: a level that holds nothing but numbered modules is taken for a list, which has no tag."""
    paths = _with_parents(named)
    children: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path:
            children[parent_path(path)].append(path)
    rows = []
    for path in paths:
        keys = [child.rpartition(".")[2] for child in children.get(path, ())]
        numbered = bool(keys) and all(key.isdigit() for key in keys)
        is_list = bool(path) and numbered and path not in direct and path not in classes
        rows.append(ModuleRow(path, classes.get(path, ""), tagged=not is_list, keyed=numbered))
    return rows
