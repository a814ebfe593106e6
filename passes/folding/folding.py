"""Modules become functions, the innermost first, wherever the graph allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import onnx
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import MAIN, Op
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.folding.contraction import Contraction, Item
from onnx_tagger.passes.folding.functions import DOMAIN, VERSION, Function, key_of, proto_of, write_tags
from onnx_tagger.passes.folding.renaming import outer_reads

# The first IR version with functions in a model.
_IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class Left:
    """A module that stays in line.

    Attributes
    ----------
    module : str
        Its path, with the number of the call where it is called several times.
    why : str
        A phrase.
    """

    module: str
    why: str

    __repr__ = brief_fields


@dataclass
class Folded:
    """What became of the modules.

    Attributes
    ----------
    functions : list of Function
    left : list of Left
    """

    functions: list[Function] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    __repr__ = brief_fields


@dataclass(frozen=True)
class FoldModules(Pass):
    """Make each module whose nodes can be one call a local function.

    Parameters
    ----------
    depth : int, optional
        Levels below the root whose modules become functions; all if left out.
    share : bool
        One function for equal bodies.
    folded : Folded
        Is filled with what became of the modules.
    """

    name: ClassVar[str] = "fold-modules"
    touches: ClassVar[Touches] = Touches.TOPOLOGY | Touches.TAGS | Touches.METADATA

    depth: int | None = None
    share: bool = True
    folded: Folded = field(default_factory=Folded)

    def run(self, ctx: Context) -> int:
        """Return how many nodes lie in functions afterwards that lay in the main graph before.

        Raises
        ------
        TaggerError
            If the model has functions that are modules already.
        """
        if ctx.hierarchy is None:
            return 0
        model, count = ctx.model, len(ctx.model.graph.node)
        if any(function.domain == DOMAIN for function in model.functions):
            raise TaggerError("the model holds modules as functions already; make it flat with --inline first")
        folding = _Folding(ctx, ctx.hierarchy, self.depth, self.share, self.folded)
        items = folding.run()
        _rewrite(model, items, self.folded.functions, ctx.hierarchy)
        return count - sum(not item.members for item in items)


def _rewrite(model: onnx.ModelProto, items: Sequence[Item], functions: Sequence[Function], tree: HierarchyMap) -> None:
    if not functions:
        return
    model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))
    protos = [proto_of(function, tree, model.opset_import) for function in functions]
    nodes = [item.node for item in items]
    kept = {name for node in nodes for name in node.output} | {value.name for value in model.graph.output}
    values = [value for value in model.graph.value_info if value.name in kept]
    # Copies first: what is taken out of a message is gone.
    copies = onnx.GraphProto(node=nodes, value_info=values)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(copies.node)
    model.graph.value_info.extend(copies.value_info)
    model.functions.extend(protos)
    model.ir_version = max(model.ir_version, _IR_VERSION)


@dataclass(eq=False, slots=True)
class _Call:
    """One call of a module, as far as the tags tell calls apart, with what is to be folded into it."""

    module: str
    name: str
    tag_call: tuple[str, ...]
    parent: str
    items: list[Item] = field(default_factory=list)


class _Folding:
    def __init__(self, ctx: Context, tree: HierarchyMap, depth: int | None, share: bool, folded: Folded) -> None:
        self.ctx, self.tree, self.depth, self.share, self.folded = ctx, tree, depth, share, folded
        self.calls: dict[str, _Call] = {}
        items = self._items()
        self.graph = Contraction(items, [value.name for value in ctx.model.graph.output])
        self.by_key: dict[bytes, Function] = {}
        self.names: dict[str, int] = {}
        self.taken = {item.node.name for item in items}

    def run(self) -> list[Item]:
        deepest_first = sorted(self.calls.values(), key=lambda call: -len(self.tree.chain(call.module)))
        for call in deepest_first:
            if not call.module:
                continue
            made = self._fold(call)
            self.calls[call.parent].items += call.items if made is None else [made]
        inner = {
            path for op in self.ctx.ops if op.scope.name != MAIN and op in self.ctx.tags for path in self._path(op)
        }
        done = {call.module for call in self.calls.values()}
        self.folded.left += [Left(path, "lies in the body of a node") for path in sorted(inner - done)]
        return self.graph.left()

    def _path(self, op: Op) -> list[str]:
        tag = self.ctx.tags[op]
        return [path for path in self._chain(tag.module) if path]

    # --- items ---

    def _items(self) -> list[Item]:
        """The nodes of the main graph, each put to the call of the innermost module that holds all of its work."""
        inside: dict[Op, list[Op]] = {}
        top: Op | None = None
        for op in self.ctx.ops:
            if op.scope.family != MAIN:
                break
            if op.scope.owner is None:
                top = op
                inside[op] = []
            if top is not None:
                inside[top].append(op)
        items = []
        for place, (op, ops) in enumerate(inside.items()):
            tags = [self.ctx.tags.get(each) for each in ops]
            reads = tuple(dict.fromkeys(outer_reads(op.node)))
            item = Item(op.node, reads, tuple(filter(None, op.node.output)), place, tags)
            items.append(item)
            known = [tag for tag in tags if tag is not None]
            if tags[0] is not None:
                home = self.tree.enclosing(path for tag in known for path in tag.modules)
                self._call_of(home, known).items.append(item)
        return items

    def _chain(self, path: str) -> tuple[str, ...]:
        chain = self.tree.chain(path)
        return chain if self.depth is None else chain[: self.depth + 1]

    def _call_of(self, home: str, tags: Sequence[Tag]) -> _Call:
        """The call of a module, made with those around it where it is new."""
        numbered = {call for tag in tags for call in tag.call}
        chain = self._chain(home)
        whole = min(numbered) if numbered and all(tag.call for tag in tags) else home
        parent = ""
        for path in chain:
            name = ".".join(whole.split(".")[: path.count(".") + 1]) if path else ""
            if len(numbered) > 1 and len({".".join(call.split(".")[: path.count(".") + 1]) for call in numbered}) > 1:
                break  # it does work of several calls: only what holds all of them can hold it
            if name not in self.calls:
                calls = (name,) if path and name != path else ()
                self.calls[name] = _Call(path, name, calls, parent)
            parent = name
        return self.calls.setdefault(parent, _Call("", "", (), ""))

    # --- folding ---

    def _fold(self, call: _Call) -> Item | None:
        if not call.items:
            return None
        around = self.graph.around(call.items)
        if around is None:
            self.folded.left.append(Left(call.name, "what it computes leaves it and comes back"))
            return None
        members = self.graph.sorted(call.items)
        reads, makes = self.graph.borders(members)
        if not makes:
            self.folded.left.append(Left(call.name, "nothing that it computes is read"))
            return None
        function = self._function(call, members, reads, makes)
        made = self._made(call, function, members, reads, makes)
        function.calls.append(made)
        self.graph.replace(members, made, *around)
        return made

    def _function(self, call: _Call, members: Sequence[Item], reads: Sequence[str], makes: Sequence[str]) -> Function:
        alike = self.share and not any(self._is_odd(tag) for item in members for tag in item.tags)
        key = key_of(members, reads, makes, call.module, self.tree) if alike else call.name.encode()
        if key not in self.by_key:
            cls = self.tree.by_path[call.module].class_name or call.module.rpartition(".")[2]
            number = self.names[cls] = self.names.get(cls, -1) + 1
            self.by_key[key] = Function(f"{cls}_{number}" if number else cls, call.module)
            self.folded.functions.append(self.by_key[key])
        return self.by_key[key]

    def _is_odd(self, tag: Tag | None) -> bool:
        """Whether a tag is not the module around its origins, as `--merge output` makes it: these do not tell it."""
        return tag is not None and bool(tag.origins) and tag.module != self.tree.enclosing(tag.origins)

    def _made(
        self, call: _Call, function: Function, members: Sequence[Item], reads: Sequence[str], makes: Sequence[str]
    ) -> Item:
        name = call.name
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        node = helper.make_node(function.name, list(reads), list(makes), name=name, domain=DOMAIN)
        worst = max((tag.source for item in members for tag in item.tags if tag is not None), default=Source.EXPORTED)
        tag = self.tree.tag(call.module, min(worst, Source.INHERITED), (), call.tag_call)
        write_tags(node, tag)
        return Item(node, tuple(reads), tuple(makes), max(item.last for item in members), [tag], list(members))


def calls_of(model: onnx.ModelProto) -> Mapping[str, int]:
    """Function name in `DOMAIN` to how often it is called, counting a call in a function once for each of its calls."""
    functions = {function.name: function for function in model.functions if function.domain == DOMAIN}
    counts = dict.fromkeys(functions, 0)
    for node in model.graph.node:
        if node.domain == DOMAIN and node.op_type in counts:
            counts[node.op_type] += 1
    # Functions stand behind those that they call, as folding leaves them.
    for name in reversed(functions):
        for node in functions[name].node:
            if node.domain == DOMAIN and node.op_type in counts:
                counts[node.op_type] += counts[name]
    return counts
