"""What `show` finds out about single nodes of a tagged model: pure functions on a `Context`.

Nothing here reads a file or prints: `reading` makes the context, `onnx_tagger.reporters.details` shows what is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import shown_path
from onnx_tagger.model import metadata
from onnx_tagger.model.evidence import written_evidence
from onnx_tagger.model.graph import Op, Scope, operator
from onnx_tagger.model.metadata import Tag, text_of
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow
from onnx_tagger.passes.base import Context

# A place in Python: ``net.py(12): forward`` as TorchScript writes it, ``File "net.py", line 12`` or ``net.py:12``.
_TRACED = re.compile(r"(?:.+\.pyi?|<.+>)\(\d+\): \S+$")
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


@dataclass(frozen=True, slots=True)
class Details:
    """All that is known of one node.

    Attributes
    ----------
    id, name, label : str
        Its id, its name, which may be empty, and its id with the operator.
    op, domain : str
        Operator type and its domain.
    shown : str
        Its module for people.
    module, tag, source : str or None
        None for a node without a tag.
    origins, call : tuple of str
        As in `Tag`.
    notes : tuple of str
        What is wrong with its own keys, and whether its function is never called.
    code, doc : str
        Where in Python it comes from, as torch says it; and what else its doc string says, its lines parted by ``; ``.
        Empty if unknown.
    inputs, outputs : tuple of Neighbour
        What it reads and who reads what it makes.
    evidence : str or None
        What the tag rests on, where the node says it.
    """

    id: str
    name: str
    label: str
    op: str
    domain: str
    shown: str
    module: str | None
    tag: str | None
    source: str | None
    origins: tuple[str, ...]
    call: tuple[str, ...]
    notes: tuple[str, ...]
    code: str
    doc: str
    inputs: tuple[Neighbour, ...]
    outputs: tuple[Neighbour, ...]
    evidence: str | None = None


def details_of(ctx: Context, op: Op) -> Details:
    """Find out all that is known of one node.

    Raises
    ------
    FileFormatError
        If the nodes of the model depend on each other in a circle.
    """
    tag = ctx.tags.get(op)
    problem = own_problem(op)
    notes = [f"its own keys do not hold: it {problem}"] if problem else []
    if not op.scope.called:
        notes.append(f"{op.scope.family} is never called")
    return Details(
        id_of(op),
        text_of(op.node.name),
        op.label,
        op.node.op_type,
        op.node.domain,
        module_of(tag),
        None if tag is None else tag.module,
        None if tag is None else tag.tag,
        None if tag is None else tag.source.label,
        () if tag is None else tag.origins,
        () if tag is None else tag.call,
        tuple(notes),
        code_line(op),
        doc_line(op),
        tuple(inputs_of(ctx, op)),
        tuple(outputs_of(ctx, op)),
        evidence_of(op),
    )


def evidence_of(op: Op) -> str | None:
    """The class of evidence that a node names; None if it names none that there is."""
    found = written_evidence(op.node)
    return None if found is None else found.label


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
    advice = advice_on(text, pool, "see onnx-tagger nodes")
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

    The dynamo exporter writes the trace as metadata, the outermost frame first, as Python's tracebacks do; the
    TorchScript exporter, asked to be verbose, as the doc string, the innermost first.
    """
    trace = metadata.props_of(op.node).get(metadata.TORCH_STACK, "")
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    if lines:
        return ": ".join(lines[-2:] if len(lines) > 1 and lines[-2].startswith("File ") else lines[-1:])
    frames = [line for line in _doc_lines(op) if _FRAME.match(line)]
    return next((line for line in frames if _TRACED.match(line)), frames[-1] if frames else "")


def doc_line(op: Op) -> str:
    """What a node's doc string says to people, such as onnxruntime's ``fused Matmul and Add``; empty if nothing.

    Our own line and places in Python are none of it.
    """
    return "; ".join(line for line in _doc_lines(op) if not _FRAME.match(line))


def _doc_lines(op: Op) -> list[str]:
    """The lines of a node's doc string, but for those that we wrote."""
    lines = text_of(op.node.doc_string).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(metadata.DOC_LINE)]
