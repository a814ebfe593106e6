"""What `tree`, `nodes` and `show` find out about a tagged model: pure functions on a `Context`.

Nothing here reads a file or prints; `checking.read_tags` makes the context, `terminal` shows what is found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from onnx_tagger.errors import TaggerError
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import Op, Scope, operator
from onnx_tagger.model.metadata import Tag, text_of
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow
from onnx_tagger.passes.base import Context

# difflib compares with each candidate; beyond this many, only those that contain the word are compared.
_MAX_CANDIDATES = 20_000

# A place in Python: ``net.py(12): forward`` as TorchScript writes it, ``File "net.py", line 12`` or ``net.py:12``.
_FRAME = re.compile(r"File \".+\", line \d+|(?:.+\.pyi?|<.+>)\(\d+\): \S+$|\S.*\.pyi?:\d+")


def name_of(op: Op) -> str:
    """A node's name, or its id such as ``main#4`` if it has none."""
    return text_of(op.node.name) or id_of(op)


def id_of(op: Op) -> str:
    """A node's id without the operator, such as ``main/If_3.then_branch#4``."""
    return f"{op.scope.name}#{op.index}"


def module_of(tag: Tag | None) -> str:
    """A node's module for people: its path, its class path where the file gives no path, ``(root)`` or ``(none)``."""
    if tag is None:
        return "(none)"
    return shown_path(tag.module, tag.tag)


def shown_path(path: str, tag: str) -> str:
    """A module path for people: its class path where the path was only made from that, ``(root)`` for the root.

    Examples
    --------
    >>> shown_path("", "/Net"), shown_path("enc.0", "/Net/Blk.0"), shown_path("Blk.0", "/Net/Blk.0")
    ('(root)', 'enc.0', '/Net/Blk.0')
    """
    if not path:
        return "(root)"
    steps = tag.split("/")[2:]
    return tag if path == ".".join(map(unquote, steps)) else path


# --- tree -------------------------------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Branch:
    """One module of the tree that the class paths span.

    Attributes
    ----------
    segment : str
        Its part of the class path: class name and, where needed, attribute.
    path : str or None
        Module path for people; None where neither file nor map says it.
    own, total : int
        Nodes with this very tag, and with it or one below.
    fused : int
        Nodes with another tag that do work of this module, too.
    before : (int, int) or None
        What `own` and `total` were in the model that this one was made of; None where there is nothing to compare with.
    children : dict
        Segment to branch.
    """

    segment: str
    path: str | None = None
    own: int = 0
    total: int = 0
    fused: int = 0
    before: tuple[int, int] | None = None
    children: dict[str, Branch] = field(default_factory=dict)

    __repr__ = brief_fields

    def below(self) -> Iterator[tuple[int, Branch]]:
        """Yield (depth, branch) for this branch and all below, depth first."""
        stack = [(0, self)]
        while stack:
            depth, branch = stack.pop()
            yield depth, branch
            stack.extend((depth + 1, child) for child in reversed(branch.children.values()))


def module_tree(ctx: Context) -> Branch:
    """Count nodes by module, in the order of a captured map, or of the nodes where there is none.

    Parameters
    ----------
    ctx : Context
        With its tags read; nodes of functions that are never called do not count.

    Returns
    -------
    Branch
        Without a segment; its children are the roots, one unless the tags contradict each other.
    """
    top = Branch("")
    tags = [ctx.tags[op] for op in ctx.walk.counted if op in ctx.tags]
    modules = ctx.hierarchy.modules if ctx.hierarchy is not None else ()
    # A map that was only read off the nodes of a file has no order of its own.
    if all(module.order is None for module in modules):
        for tag in tags:
            _plant(top, tag.tag)
    for module in modules:
        if module.tag is not None:
            _plant(top, module.tag)[-1].path = shown_path(module.path, module.tag)
    for tag in tags:
        trail = _plant(top, tag.tag)
        trail[-1].own += 1
        for branch in trail:
            branch.total += 1
    return top


def compared_tree(before: Context, after: Context) -> Branch:
    """The module tree of a model beside that of the model which it was made of.

    Parameters
    ----------
    before, after : Context
        With their tags read.

    Returns
    -------
    Branch
        As `module_tree` of `before`, followed by what only `after` has; counts are those of `after`.
    """
    top = module_tree(before)
    for _, branch in top.below():
        branch.before, branch.own, branch.total = (branch.own, branch.total), 0, 0
    stack = [(top, module_tree(after))]
    while stack:
        mine, other = stack.pop()
        mine.own, mine.total = other.own, other.total
        mine.path = mine.path if mine.path is not None else other.path
        for segment, child in other.children.items():
            stack.append((mine.children.setdefault(segment, Branch(segment, before=(0, 0))), child))
    # The older model names modules that the newer one may name as origins alone, which tells nothing of their tags.
    known = [ctx.hierarchy for ctx in (after, before) if ctx.hierarchy is not None]
    _count_fused(top, after, {module.path: module.tag for tree in known for module in tree.modules if module.tag})
    return top


def _count_fused(top: Branch, ctx: Context, tags: Mapping[str, str]) -> None:
    """Count at each module the nodes of other tags that do its work, too."""
    for op in ctx.walk.counted:
        tag = ctx.tags.get(op)
        for path in tag.origins if tag is not None else ():
            place = tags.get(path)
            if tag is not None and place is not None and place != tag.tag:
                _plant(top, place)[-1].fused += 1


def _plant(top: Branch, tag: str) -> list[Branch]:
    """The branches from the top down to a tag, made where they are missing."""
    trail = [top]
    for segment in tag.split("/")[1:]:
        branch = trail[-1].children.get(segment)
        if branch is None:
            branch = trail[-1].children[segment] = Branch(segment)
        trail.append(branch)
    return trail


# --- nodes ------------------------------------------------------------------------------------------------------------


def nodes_under(ctx: Context, path: str | None, operators: Collection[str] = ()) -> list[Op]:
    """The nodes that do work of a module or of one below it, in the order of the walk.

    A node that does the work of several modules is found under each of them.

    Parameters
    ----------
    ctx : Context
    path : str or None
        Module path, alias or class path; a container without a tag, such as a ModuleList, counts too. None for all
        nodes, those without a tag too.
    operators : collection of str
        Operator types to keep, with or without their domain; all if empty.

    Raises
    ------
    TaggerError
        If no such module is known; the message names similar ones.
    """
    inside = _insider(ctx, path) if path is not None else None
    found = []
    for op in ctx.ops:
        if operators and op.node.op_type not in operators and operator(op.node) not in operators:
            continue
        if inside is not None:
            tag = ctx.tags.get(op)
            if tag is None or not inside(tag):
                continue
        found.append(op)
    return found


def _insider(ctx: Context, path: str) -> Callable[[Tag], bool]:
    """Whether a tag lies in what `path` names."""
    tree = ctx.hierarchy
    tags = {tag.module: tag.tag for tag in ctx.tags.values()}
    origins = {module for tag in ctx.tags.values() for module in tag.origins}
    if tree is not None:
        tags |= {module.path: module.tag for module in tree.modules if module.tag is not None}
        origins.update(tree.by_path)
        found = tree.resolve(path)
        path = found.path if found is not None else path
    if path.startswith("/"):
        prefix = path.rstrip("/")
        members = {module for module, tag in tags.items() if tag == prefix or tag.startswith(prefix + "/")}
    else:
        known = tags.keys() | origins
        members = {module for module in known if not path or module == path or module.startswith(path + ".")}
    if not members:
        pool = [text for pair in tags.items() for text in pair]
        raise TaggerError(f"no module has the path or tag {path!r}: {_advice(path, pool, 'see onnx-tagger tree')}")
    return lambda tag: any(module in members for module in tag.modules)


def close_matches(word: str, pool: Iterable[str], count: int = 3) -> list[str]:
    """Names similar to a word: those that end with it, then those that contain it, then those spelled alike.

    Examples
    --------
    >>> close_matches("query", ["a.query", "a.key", "a.query_norm", "b"])
    ['a.query', 'a.query_norm']
    """
    names = sorted({name for name in pool if name})
    if not word:
        return []
    found = [name for name in names if name.endswith(word)][:count]
    found += [name for name in names if word in name and name not in found][: count - len(found)]
    if len(found) < count:
        last = word.replace("/", ".").rpartition(".")[2].lower()
        if len(names) > _MAX_CANDIDATES:
            names = [name for name in names if last in name.lower()][:_MAX_CANDIDATES]
        found += [name for name in difflib.get_close_matches(word, names, count) if name not in found]
    return found[:count]


def _advice(word: str, pool: Iterable[str], otherwise: str) -> str:
    found = close_matches(word, pool)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else otherwise


# --- show -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What makes or reads a tensor.

    Attributes
    ----------
    tensor : str
        Name of the tensor.
    what : str
        The node's name and operator, or ``initializer``, ``input of main``, ``output of main`` and the like.
    module : str
        The node's module for people; empty if it is no node.
    """

    tensor: str
    what: str
    module: str = ""

    __repr__ = brief_fields


def find_nodes(ctx: Context, text: str) -> list[Op]:
    """The nodes that a text means: by name, else by id (``main#4``, ``main#4 Add``), else by the tensor they make.

    Raises
    ------
    TaggerError
        If there is none; the message names similar ones.
    """
    readings: tuple[Callable[[Op], Iterable[str]], ...] = (
        lambda op: (text_of(op.node.name),),
        lambda op: (id_of(op), op.label),
        lambda op: map(text_of, op.node.output),
    )
    for reading in readings:
        found = [op for op in ctx.ops if text and text in reading(op)]
        if found:
            return found
    pool = (word for op in ctx.ops for word in (text_of(op.node.name), *map(text_of, op.node.output)))
    advice = _advice(text, pool, "see onnx-tagger nodes")
    raise TaggerError(f"no node has the name, id or output {text!r}: {advice}")


def inputs_of(ctx: Context, op: Op) -> list[Neighbour]:
    """What a node reads, and where it comes from; optional inputs that are left out are not listed."""
    flow = ctx.get(DataFlow)
    found = []
    for key in flow.inputs[op.id]:
        maker = flow.producer.get(key)
        scope = ctx.walk.scopes[key[0]]
        if maker is not None:
            found.append(_neighbour(ctx, key[1], ctx.ops[maker]))
        elif key in flow.stored:
            found.append(Neighbour(text_of(key[1]), "initializer"))
        elif key[1] in scope.input_names:
            found.append(Neighbour(text_of(key[1]), f"input of {scope.name}"))
        else:
            found.append(Neighbour(text_of(key[1]), "nothing makes it"))
    return found


def outputs_of(ctx: Context, op: Op) -> list[Neighbour]:
    """What reads a node's outputs; a tensor that nothing reads is listed, too."""
    flow = ctx.get(DataFlow)
    place = next(index for index, scope in enumerate(ctx.walk.scopes) if scope is op.scope)
    found = []
    for name in filter(None, op.node.output):
        readers = [_neighbour(ctx, name, ctx.ops[reader]) for reader in _readers(flow, op, (place, name))]
        if name in op.scope.output_names:
            readers.append(Neighbour(text_of(name), _way_out(op.scope)))
        found += readers or [Neighbour(text_of(name), "nothing reads it")]
    return found


def _readers(flow: Flow, op: Op, key: tuple[int, str]) -> list[int]:
    return sorted(reader for reader in flow.graph.succ[op.id] if key in flow.inputs[reader])


def _way_out(scope: Scope) -> str:
    owner = "" if scope.owner is None else f", a body of {name_of(scope.owner)} {operator(scope.owner.node)}"
    return f"output of {scope.name}{owner}"


def _neighbour(ctx: Context, tensor: str, op: Op) -> Neighbour:
    return Neighbour(text_of(tensor), f"{name_of(op)} {operator(op.node)}", module_of(ctx.tags.get(op)))


def own_problem(op: Op) -> str:
    """What is wrong with a node's own keys, as a phrase; empty if they hold or there are none."""
    props = metadata.props_of(op.node)
    return metadata.parse_own(props)[1] if any(key.startswith(metadata.PREFIX) for key in props) else ""


def code_line(op: Op) -> str:
    """Where in Python a node comes from: the innermost frame of torch's stack trace; empty if nothing says it.

    The dynamo exporter writes the trace as metadata, the outermost frame first; the TorchScript exporter, asked to be
    verbose, as the doc string, the innermost first.
    """
    trace = metadata.props_of(op.node).get(metadata.TORCH_STACK, "")
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    if lines:
        return ": ".join(lines[-2:] if len(lines) > 1 and lines[-2].startswith("File ") else lines[-1:])
    return next((line for line in _doc_lines(op) if _FRAME.match(line)), "")


def doc_line(op: Op) -> str:
    """What a node's doc string says to people, such as onnxruntime's ``fused Matmul and Add``; empty if nothing.

    Our own line and places in Python are none of it.
    """
    return next((line for line in _doc_lines(op) if not _FRAME.match(line)), "")


def _doc_lines(op: Op) -> Iterator[str]:
    lines = (line.strip() for line in text_of(op.node.doc_string).splitlines())
    return (line for line in lines if line and not _is_ours(line))


def _is_ours(line: str) -> bool:
    return line.startswith(metadata.DOC_LINE)
