"""The module tree as one walks it: modules with parents and children, in the order in which they were first called.

A hierarchy map lists modules; here they are linked, and levels that a file names only through what lies in them are
filled in. Choosing modules by a pattern is `globs`'; adding up over the tree is done in `onnx_tagger.measures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from onnx_tagger.errors import FileFormatError
from onnx_tagger.hierarchy.map import HierarchyMap, Module as Record
from onnx_tagger.hierarchy.naming import parent_path
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.metadata import MAX_PARTS, class_of
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import cut


@dataclass(eq=False, slots=True)
class Module:
    """One module of a tree.

    Attributes
    ----------
    path : str
        Dotted path, ``""`` for the root; for a level whose path nothing says, its tag.
    cls : str or None
        Name of its class; None where nothing says it.
    tag : str or None
        Class path; None for a container, whose class defines no `forward`.
    calls : int
        How often its `forward` ran; 0 where no run was captured.
    aliases : tuple of str
        Its other names.
    parent : Module or None
        The module around it; None for the root.
    children : list of Module
        The modules in it, in the order in which they were first called.
    """

    path: str
    cls: str | None
    tag: str | None
    calls: int = 0
    aliases: tuple[str, ...] = ()
    parent: Module | None = field(default=None, repr=False)
    children: list[Module] = field(default_factory=list, repr=False)

    @property
    def shown(self) -> str:
        """The path for people: ``(root)`` for the root, the class path where there is no path.

        Examples
        --------
        >>> Module("", "Net", "/Net").shown, Module("enc.0", "Blk", "/Net/Blk.0").shown
        ('(root)', 'enc.0')
        """
        return shown_path(self.path, self.tag)

    @property
    def segment(self) -> str:
        """Its part of the class path, with the attribute where that is needed; of a container its class or attribute.

        Examples
        --------
        >>> Module("enc.0", "Blk", "/Net/Blk.0").segment, Module("enc", "ModuleList", None).segment
        ('Blk.0', 'ModuleList')
        """
        return self.tag.rpartition("/")[2] if self.tag else self.cls or self.path.rpartition(".")[2]

    def below(self) -> Iterator[Module]:
        """The module itself and all in it, depth first."""
        stack = [self]
        while stack:
            module = stack.pop()
            yield module
            stack.extend(reversed(module.children))

    def __repr__(self) -> str:
        return f"Module({cut(self.path)!r}, cls={cut(self.cls or '')!r}, children={len(self.children)})"


def shown_path(path: str, tag: str | None) -> str:
    """A module path for people: its class path where the path was only made from that, ``(root)`` for the root.

    Examples
    --------
    >>> shown_path("", "/Net"), shown_path("enc.0", "/Net/Blk.0"), shown_path("Blk.0", "/Net/Blk.0")
    ('(root)', 'enc.0', '/Net/Blk.0')
    """
    if not path:
        return "(root)"
    return tag if tag is not None and _is_made_of(path, tag) else path


def _is_made_of(path: str, tag: str) -> bool:
    """Whether a path was made from a class path alone, since the file gave nothing better."""
    return path == ".".join(map(unquote, tag.split("/")[2:]))


class ModuleTree:
    """The modules of a model, linked; iterable in the order in which they were first called.

    Parameters
    ----------
    hierarchy : HierarchyMap
    first : mapping, optional
        Module path to a rank, smaller for what ran earlier: the order where the map holds none.

    Raises
    ------
    FileFormatError
        If there are more modules than the limits allow.

    Examples
    --------
    >>> from onnx_tagger.hierarchy.naming import ModuleRow
    >>> rows = [ModuleRow("", "Net"), ModuleRow("layers", "ModuleList", tagged=False, keyed=True),
    ...         ModuleRow("layers.0", "Blk")]
    >>> tree = ModuleTree(HierarchyMap.from_rows(rows))
    >>> [module.path for module in tree]
    ['', 'layers', 'layers.0']
    >>> tree["layers.0"].parent
    Module('layers', cls='ModuleList', children=1)
    """

    def __init__(self, hierarchy: HierarchyMap, first: Mapping[str, int] | None = None) -> None:
        self._known: dict[str, Module] = {}
        self._by_tag: dict[str, Module] = {}
        self._link(hierarchy.modules)
        self._aliases = {alias: module for module in self._known.values() for alias in module.aliases}
        orders = {record.path: record.order for record in hierarchy.modules if record.order is not None}
        self._ordered = self._order(orders, called=True) if orders else self._order(first or {}, called=False)

    @classmethod
    def linked(cls, modules: Iterable[Module]) -> ModuleTree:
        """A tree of modules that know their parents and children; the root, with the path ``""``, is among them."""
        made = cls.__new__(cls)
        made._ordered = list(modules)
        made._known = {module.path: module for module in made._ordered}
        made._by_tag = {module.tag: module for module in made._ordered if module.tag is not None}
        made._aliases = {alias: module for module in made._ordered for alias in module.aliases}
        return made

    @property
    def root(self) -> Module:
        """The module of the whole model."""
        return self._known[""]

    def __iter__(self) -> Iterator[Module]:
        return iter(self._ordered)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __getitem__(self, name: str) -> Module:
        """The module of a path, an alias or a tag.

        Raises
        ------
        KeyError
            If there is none; the message names the nearest ones.
        """
        found = self.find(name) if isinstance(name, str) else None
        if found is None:
            raise KeyError(f"no module has the path or tag {name!r}: {self.advice(str(name))}")
        return found

    def __repr__(self) -> str:
        return f"ModuleTree({cut(self.root.segment)!r}, {len(self)} modules)"

    def find(self, name: str) -> Module | None:
        """The module of a path, an alias or a tag, or None."""
        if name in self._known:
            return self._known[name]
        if name.startswith("/"):
            return self._by_tag.get(name.rstrip("/"))
        return self._aliases.get(name)

    def advice(self, name: str) -> str:
        """What to say to somebody who asked for a module that there is not."""
        pool = (text for module in self._ordered for text in (module.path, module.tag or "", *module.aliases))
        return advice_on(name, pool, "see onnx-tagger tree")

    def _link(self, records: Iterable[Record]) -> None:
        """Make the modules, and the levels between them that no record is of."""
        for record in records:
            module = Module(record.path, record.class_name or None, record.tag, record.calls, record.aliases)
            self._known[record.path] = module
            if record.tag is not None:
                self._by_tag[record.tag] = module
        for record in records:
            if record.path:
                module = self._known[record.path]
                module.parent = self._parent_of(record, module)
                module.parent.children.append(module)

    def _parent_of(self, record: Record, module: Module) -> Module:
        """The module around one, with the containers and levels between the two made where they are missing."""
        above = self._known[record.parent or ""]
        if record.tag is not None:
            level = self._level(record.tag.rpartition("/")[0])
            # A container lies deeper than the level that it belongs to.
            if level is not None and above.tag is not None and (level.path.startswith("/") or _lies_in(module, level)):
                above = level
            if _is_made_of(record.path, record.tag):
                return above
        if above.path.startswith("/"):
            return above
        steps = parent_path(record.path)[len(above.path) :].strip(".")
        for step in steps.split(".") if steps else ():
            above = self._container(f"{above.path}.{step}".lstrip("."), above)
        return above

    def _level(self, tag: str) -> Module | None:
        """The module of a tag that others lie under, made with those above it if no record is of it."""
        missing: list[str] = []
        while tag and tag not in self._by_tag and len(missing) <= MAX_PARTS:
            missing.append(tag)
            tag = tag.rpartition("/")[0]
        found = self._by_tag.get(tag)
        if found is None:
            return None
        for name in reversed(missing):
            level = Module(name, class_of(name) or None, name, parent=found)
            found.children.append(level)
            self._add(level)
            found = self._by_tag[name] = level
        return found

    def _container(self, path: str, above: Module) -> Module:
        if path not in self._known:
            made = Module(path, None, None, parent=above)
            above.children.append(made)
            self._add(made)
        return self._known[path]

    def _add(self, module: Module) -> None:
        most = input_limits().modules
        if len(self._known) >= most:
            raise FileFormatError(f"the nodes name more than {most} modules; {advice('modules')}")
        self._known[module.path] = module

    def _order(self, ranks: Mapping[str, int], *, called: bool) -> list[Module]:
        """Sort children by when they first ran, and list all modules in that order; `called` if ranks are of calls."""
        found = list(self.root.below())
        never = len(ranks) + max(ranks.values(), default=0) + 1
        first = {module: ranks.get(module.path, never) for module in found}
        for module in reversed(found):
            # A module begins with the first that is in it, unless it is known to have been called later.
            if module.parent is not None and not (called and module.parent.path in ranks):
                first[module.parent] = min(first[module], first[module.parent])
        for module in found:
            module.children.sort(key=first.__getitem__)
        return sorted(self.root.below(), key=first.__getitem__)


def _lies_in(module: Module, other: Module) -> bool:
    """Whether a module is another one or lies in it, by their paths."""
    return not other.path or module.path == other.path or module.path.startswith(f"{other.path}.")
