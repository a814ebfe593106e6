"""Which operation nodes were written for of which nobody says so: those that torch's constant folder made, and bodies.

Operations are a directed graph without cycles, and each is written out by itself. So a node on a way from one node of
an operation to another is of that operation, and so is what stands in the bodies of its nodes. Tensors bear the name of
the operation whose result they are; one that does not is read inside of its operation alone, also by a node that
nothing reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch._ops import HigherOrderOperator

from onnx_tagger.model.graph import MAIN, Op, Walk

# Among more operations than this nothing is looked for, so that the work stays linear in nodes.
_MANY = 8


def enclosing_operations(walk: Walk, operations: Sequence[torch.fx.Node | None]) -> list[torch.fx.Node | None]:
    """Fill in the operations of nodes that lie within one.

    Parameters
    ----------
    walk : Walk
        The exported graph.
    operations : sequence of torch.fx.Node or None
        What is known of each of its nodes, in the order of the walk. Of nodes in bodies nothing need be known.

    Returns
    -------
    list of torch.fx.Node or None
        The same, with more of it known. What stands in the body of control flow of the model's own stays as it is.
    """
    found = list(operations)
    before = _reached(walk, found)
    after = _reached(walk, found, backwards=True)
    results = {operation.name for operation in found if operation is not None}
    results.update(walk.scopes[0].output_names)
    for op in walk.scopes[0].ops:
        if found[op.id] is None:
            inside = results.isdisjoint((*op.node.input, *op.node.output)) and not after[op.id]
            both = before[op.id] if inside else before[op.id] & after[op.id]
            found[op.id] = both.pop() if len(both) == 1 else None
    for op in walk.ops:
        if found[op.id] is None and op.scope.owner is not None and op.scope.family == MAIN:
            operation = found[_outermost(op).id]
            if operation is not None and not isinstance(operation.target, HigherOrderOperator):
                found[op.id] = operation
    return found


def repeated_by(op: Op, operations: Sequence[torch.fx.Node | None]) -> Op | None:
    """The innermost loop of the model's own in whose body a node stands: it runs in many calls of what is called there.

    Parameters
    ----------
    op : Op
    operations : sequence of torch.fx.Node or None
        Of every node, in the order of the walk.
    """
    operation = operations[_outermost(op).id]
    owner = op.scope.owner
    while owner is not None and owner.node.op_type not in ("Loop", "Scan"):
        owner = owner.scope.owner
    return owner if operation is not None and isinstance(operation.target, HigherOrderOperator) else None


def _outermost(op: Op) -> Op:
    """The node of the main graph that a node stands in, itself if it stands in none."""
    while op.scope.owner is not None:
        op = op.scope.owner
    return op


def _reached(
    walk: Walk, operations: Sequence[torch.fx.Node | None], *, backwards: bool = False
) -> dict[int, set[torch.fx.Node | None]]:
    """For each node of the main graph its operation or, if none is known, the nearest ones that it is made of.

    Backwards, the nearest ones that are made of it; None alone stands for too many. What a body reads, its outermost
    owner reads.
    """
    main = walk.scopes[0]
    producer = {name: op.id for op in main.ops for name in op.node.output if name}
    linked: dict[int, set[int]] = {op.id: set() for op in main.ops}
    for op in walk.ops:
        reader = _outermost(op)
        if reader.scope is not main:
            continue
        for name in op.node.input:
            if name in producer and producer[name] != reader.id:
                ends = (producer[name], reader.id) if backwards else (reader.id, producer[name])
                linked[ends[0]].add(ends[1])
    found: dict[int, set[torch.fx.Node | None]] = {}
    order: Iterable[Op] = reversed(main.ops) if backwards else main.ops
    for op in order:
        known = operations[op.id]
        sources = () if known is not None else (found[other] for other in linked[op.id] if other in found)
        near = ({known} if known is not None else set[torch.fx.Node | None]()).union(*sources)
        found[op.id] = {None} if None in near or len(near) > _MANY else near
    return found
