"""The only walker of a model: every node of the main graph, of bodies at any depth and of local functions.

Nothing else in this package loops over `graph.node` by itself, so that the identity, the order and the label of a node
are the same everywhere. The order is depth first: a node, then the nodes of its bodies, then the next node; functions
come after the main graph. What nodes mean (data flow, modules) does not live here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import onnx

from onnx_tagger.errors import FileFormatError
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.texts import brief, counted, value_text

MAIN = "main"
FUNCTION_PREFIX = "function:"

# protobuf itself refuses deeper messages; a body costs three levels of them.
MAX_DEPTH = 100

FunctionKey = tuple[str, str, str]


@dataclass(eq=False, slots=True)
class Op:
    """One node of a model, with its place.

    Attributes
    ----------
    id : int
        Position in the walk over the whole model, from 0.
    node : onnx.NodeProto
        The node itself, not a copy.
    scope : Scope
        The graph, body or function that holds it.
    index : int
        Position in its scope, from 0.
    """

    id: int
    node: onnx.NodeProto
    scope: Scope
    index: int

    def __repr__(self) -> str:
        return brief(self, self.label, value_text(self.node.name))

    @property
    def label(self) -> str:
        """A readable id that is unique in the model, such as ``main/If_3.then_branch#4 Add``."""
        return f"{self.scope.name}#{self.index} {self.node.op_type}"


@dataclass(eq=False, slots=True)
class Scope:
    """A list of nodes that share a name space: the main graph, a body or a local function.

    Attributes
    ----------
    name : str
        ``main``, ``main/If_3.then_branch`` (the owner's operator type and position, the attribute) or
        ``function:domain.name``.
    proto : onnx.GraphProto or onnx.FunctionProto
        What holds the nodes.
    owner : Op or None
        The node whose attribute this body is.
    ops : list of Op
        Its nodes in file order.
    called : bool
        False for a function that no node reachable from the main graph calls, and for the bodies in it.
    family : str
        The name of the outermost scope, ``main`` or the function: tensor names do not cross it.
    depth : int
        How many bodies enclose it.
    """

    name: str
    proto: onnx.GraphProto | onnx.FunctionProto
    owner: Op | None = None
    ops: list[Op] = field(default_factory=list)
    called: bool = True
    family: str = ""
    depth: int = 0

    def __repr__(self) -> str:
        return brief(self, self.name, counted(len(self.ops), "node"))

    def __post_init__(self) -> None:
        if self.owner is None:
            self.family = self.name
        else:
            self.family = self.owner.scope.family
            self.depth = self.owner.scope.depth + 1

    @property
    def parent(self) -> Scope | None:
        """The scope around this body, whose tensors it sees."""
        return self.owner.scope if self.owner is not None else None

    @property
    def input_names(self) -> list[str]:
        """Names of the formal inputs."""
        if isinstance(self.proto, onnx.FunctionProto):
            return list(self.proto.input)
        return [value.name for value in self.proto.input]

    @property
    def output_names(self) -> list[str]:
        """Names of the tensors that leave the scope."""
        if isinstance(self.proto, onnx.FunctionProto):
            return list(self.proto.output)
        return [value.name for value in self.proto.output]

    @property
    def initializer_names(self) -> list[str]:
        """Names of the tensors that are stored with the scope."""
        if isinstance(self.proto, onnx.FunctionProto):
            return []
        dense = [tensor.name for tensor in self.proto.initializer]
        return dense + [tensor.values.name for tensor in self.proto.sparse_initializer]


@dataclass(frozen=True, slots=True)
class Walk:
    """All scopes and nodes of a model.

    Attributes
    ----------
    scopes : list of Scope
        Main graph first, functions last, each followed by the bodies in it.
    ops : list of Op
        Every node; ``ops[i].id == i``.
    calls : dict
        Function key (domain, name, overload) to the nodes that call it.
    functions : dict
        Function key to the scope of its body.
    """

    scopes: list[Scope]
    ops: list[Op]
    calls: dict[FunctionKey, list[Op]]
    functions: dict[FunctionKey, Scope]

    def __repr__(self) -> str:
        return brief(self, counted(len(self.ops), "node"), counted(len(self.scopes), "scope"))

    @property
    def counted(self) -> list[Op]:
        """The nodes that coverage counts: all but those of functions that are never called."""
        if all(scope.called for scope in self.scopes):
            return self.ops
        return [op for op in self.ops if op.scope.called]


def bodies(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """Yield (attribute name, graph) for each body of a node; the k-th of a list is called ``name[k]``."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for index, graph in enumerate(attribute.graphs):
            yield f"{attribute.name}[{index}]", graph


def function_key(proto: onnx.FunctionProto) -> FunctionKey:
    """The key under which nodes call a local function."""
    return proto.domain, proto.name, proto.overload


def callee(node: onnx.NodeProto) -> FunctionKey:
    """The function key that a node would call."""
    return node.domain, node.op_type, node.overload


def operator(node: onnx.NodeProto) -> str:
    """Operator type with its domain, ``Add`` or ``com.microsoft::FusedMatMul``."""
    return f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def walk(model: onnx.ModelProto) -> Walk:
    """List every scope and node of a model.

    Parameters
    ----------
    model : onnx.ModelProto
        Tensor payloads may be missing.

    Returns
    -------
    Walk

    Raises
    ------
    FileFormatError
        If bodies are nested deeper than protobuf allows, functions call each other in a circle, a node's name or
        type is no text, or there are more nodes than the limits on inputs allow.

    Examples
    --------
    >>> from onnx import helper
    >>> graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "g", [], [])
    >>> [op.label for op in walk(helper.make_model(graph)).ops]
    ['main#0 Add']
    """
    scopes: list[Scope] = []
    ops: list[Op] = []
    _walk_scope(Scope(MAIN, model.graph), scopes, ops)
    functions: dict[FunctionKey, Scope] = {}
    for proto in model.functions:
        key = function_key(proto)
        overload = f":{proto.overload}" if proto.overload else ""
        scope = Scope(f"{FUNCTION_PREFIX}{proto.domain}.{proto.name}{overload}", proto)
        functions[key] = scope
        _walk_scope(scope, scopes, ops)
    calls: dict[FunctionKey, list[Op]] = {key: [] for key in functions}
    if functions:
        for op in ops:
            key = callee(op.node)
            if key in calls:
                calls[key].append(op)
        _mark_uncalled(functions, calls, scopes)
    walked = Walk(scopes, ops, calls, functions)
    functions_in_call_order(walked)
    return walked


def insist_on_text(walked: Walk) -> None:
    """Raise if a tensor that a node reads or makes has a name that is no text; `walk` has looked at the other names.

    Raises
    ------
    FileFormatError
        With the first such node.
    """
    for op in walked.ops:
        if any(isinstance(name, bytes) for name in (*op.node.input, *op.node.output)):
            raise FileFormatError(f"{op.label}: the name of a tensor is no valid UTF-8; export the model again")


def _walk_scope(scope: Scope, scopes: list[Scope], ops: list[Op]) -> None:
    """Append a scope, its nodes and all bodies in it, depth first and without recursion."""
    scopes.append(scope)
    stack: list[tuple[Scope, Iterator[tuple[int, onnx.NodeProto]]]] = [(scope, enumerate(scope.proto.node))]
    limits = input_limits()
    most, deepest = limits.nodes, MAX_DEPTH if limits.depth >= MAX_DEPTH else limits.depth // 3
    while stack:
        current, nodes = stack[-1]
        if len(ops) + len(current.proto.node) - len(current.ops) > most:
            raise FileFormatError(f"the model has more than {most} nodes, at {current.name}; {advice('nodes')}")
        for index, node in nodes:
            op = Op(len(ops), node, current, index)
            ops.append(op)
            current.ops.append(op)
            if isinstance(node.op_type, bytes) or isinstance(node.name, bytes):  # what protobuf gives for no text
                raise FileFormatError(f"{op.label}: its name or type is no valid UTF-8; export the model again")
            if not node.attribute:
                continue
            inner = [Scope(f"{current.name}/{node.op_type}_{index}.{name}", graph, op) for name, graph in bodies(node)]
            if inner:
                if inner[0].depth > deepest:
                    raise FileFormatError(
                        f"the bodies of {op.label} are nested deeper than {deepest} levels: flatten them"
                    )
                scopes.extend(inner)
                stack.extend((body, enumerate(body.proto.node)) for body in reversed(inner))
                break
        else:
            stack.pop()


def _mark_uncalled(
    functions: dict[FunctionKey, Scope], calls: dict[FunctionKey, list[Op]], scopes: list[Scope]
) -> None:
    """Set `called` on every scope: reachable from the main graph through calls."""
    callers = callees_by_family(calls)
    reached = {MAIN}
    queue = [MAIN]
    while queue:
        for key in callers.get(queue.pop(), ()):
            name = functions[key].name
            if name not in reached:
                reached.add(name)
                queue.append(name)
    for scope in scopes:
        scope.called = scope.family in reached


def callees_by_family(calls: dict[FunctionKey, list[Op]]) -> dict[str, set[FunctionKey]]:
    """Which functions each outermost scope calls, in bodies too."""
    found: dict[str, set[FunctionKey]] = {}
    for key, sites in calls.items():
        for op in sites:
            found.setdefault(op.scope.family, set()).add(key)
    return found


def functions_in_call_order(walked: Walk) -> Iterable[FunctionKey]:
    """Function keys, callers before what they call.

    Raises
    ------
    FileFormatError
        If functions call each other in a circle.
    """
    found = callees_by_family(walked.calls)
    names = {scope.name: key for key, scope in walked.functions.items()}
    waiting = dict.fromkeys(walked.functions, 0)
    for family, keys in found.items():
        for key in keys:
            waiting[key] += family in names
    ready = [key for key, count in waiting.items() if not count]
    order: list[FunctionKey] = []
    while ready:
        key = ready.pop()
        order.append(key)
        for inner in found.get(walked.functions[key].name, ()):
            waiting[inner] -= 1
            if not waiting[inner]:
                ready.append(inner)
    if len(order) < len(walked.functions):
        circle = sorted(walked.functions[key].name for key in set(waiting) - set(order))
        raise FileFormatError(f"the functions {', '.join(circle)} call themselves in a circle, which ONNX forbids")
    return order
