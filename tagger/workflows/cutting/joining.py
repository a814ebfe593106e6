"""One model put into another: signatures, opsets, names and order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.graph import bodies, function_key
from onnx_tagger.passes.folding.renaming import outer_reads

Values = Mapping[str, onnx.ValueInfoProto]


def matched(
    given: Sequence[onnx.ValueInfoProto], wanted: Sequence[str], types: Values, named: Mapping[str, str], what: str
) -> dict[str, str]:
    """Which tensor of a model each input or output of a part stands for: by name, else by order and type.

    Parameters
    ----------
    given : sequence of onnx.ValueInfoProto
        Of the part.
    wanted : sequence of str
        Tensors of the model.
    types : mapping
        Of these.
    named : mapping
        What the part may call a tensor, to the tensor.
    what : str
        "input" or "output", for messages.

    Returns
    -------
    dict
        Name in the part to the tensor; every one of the part's inputs, and all outputs that the model wants.

    Raises
    ------
    TaggerError
        If there is none.
    """
    found: dict[str, str] = {}
    for value in given:
        tensor = named.get(value.name, value.name)
        if tensor in wanted and tensor not in found.values():
            found[value.name] = tensor
    free = [tensor for tensor in wanted if tensor not in found.values()]
    for value in given:
        if value.name in found:
            continue
        fitting = next((tensor for tensor in free if _fits(value, types[tensor])), None)
        if fitting is not None:
            found[value.name] = fitting
            free.remove(fitting)
        elif what == "input":
            raise TaggerError(
                f"the input {value.name!r} of the part is none of the module's ({', '.join(wanted) or 'it has none'}), "
                "by name or by order and type; extract the module again, and keep its border"
            )
    if free and what == "output":
        raise TaggerError(
            f"the part has no output for {free[0]!r}, which other modules read, by name or by order and type; extract "
            "the module again, and keep its border"
        )
    return found


def _fits(one: onnx.ValueInfoProto, other: onnx.ValueInfoProto) -> bool:
    """Whether two types may be the same: the element type is, and no size is another one."""
    a, b = one.type.tensor_type, other.type.tensor_type
    if a.elem_type != b.elem_type:
        return False
    if not a.HasField("shape") or not b.HasField("shape"):
        return True
    if len(a.shape.dim) != len(b.shape.dim):
        return False
    pairs = zip(a.shape.dim, b.shape.dim, strict=True)
    return all(not x.dim_value or not y.dim_value or x.dim_value == y.dim_value for x, y in pairs)


def reconciled(model: onnx.ModelProto, part: onnx.ModelProto) -> None:
    """Give a model the opsets that a part needs, too.

    Where both name another version of one domain, that of the model stays if all operators of the part mean the same
    in both; else that of the part is taken if all of the model do.

    Raises
    ------
    TaggerError
        If neither is so.
    """
    mine = {_domain(entry.domain): entry for entry in model.opset_import}
    for entry in part.opset_import:
        known = mine.get(_domain(entry.domain))
        if known is None:
            model.opset_import.add(domain=entry.domain, version=entry.version)
            continue
        if known.version == entry.version:
            continue
        domain, versions = _domain(entry.domain), (known.version, entry.version)
        lost = _changed(part, domain, versions)
        if not lost:
            continue
        if _changed(model, domain, versions):
            raise TaggerError(
                f"the part has opset {entry.version} of {domain or 'ai.onnx'!r}, the model {known.version}, and "
                f"{lost} is not the same in both; convert one with onnx.version_converter"
            )
        known.version = entry.version
    model.ir_version = max(model.ir_version, part.ir_version)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _changed(model: onnx.ModelProto, domain: str, versions: tuple[int, int]) -> str | None:
    """An operator of a model that another version of its domain has changed, or that onnx does not know."""
    seen = {op for node in _all_nodes(model) if _domain(node.domain) == domain for op in [node.op_type]}
    for op in sorted(seen):
        try:
            since = {onnx.defs.get_schema(op, version, domain).since_version for version in versions}
        except onnx.defs.SchemaError:
            return op
        if len(since) > 1:
            return op
    return None


def _all_nodes(model: onnx.ModelProto) -> Iterable[onnx.NodeProto]:
    pending = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while pending:
        node = pending.pop()
        yield node
        pending += [inner for _, body in bodies(node) for inner in body.node]


def join_functions(model: onnx.ModelProto, part: onnx.ModelProto) -> None:
    """Add a part's functions to a model.

    Raises
    ------
    TaggerError
        If the model has others of the same name.
    """
    mine = {function_key(function): _without_tags(function) for function in model.functions}
    for function in part.functions:
        known = mine.get(function_key(function))
        if known is None:
            model.functions.append(function)
        elif known != _without_tags(function):
            raise TaggerError(
                f"the part and the model each have a function {function.name!r}, and they differ; inline them first"
            )


def _without_tags(function: onnx.FunctionProto) -> bytes:
    bare = onnx.FunctionProto()
    bare.CopyFrom(function)
    for node in bare.node:
        del node.metadata_props[:]
    data: bytes = bare.SerializeToString(deterministic=True)
    return data


def free_prefix(wanted: str, taken: Collection[str]) -> str:
    """A prefix that no name begins with."""
    prefix, number = f"{wanted}/", 1
    while any(name.startswith(prefix) for name in taken):
        number += 1
        prefix = f"{wanted}#{number}/"
    return prefix


def in_order(nodes: Sequence[onnx.NodeProto], rank: Callable[[int], float]) -> list[onnx.NodeProto]:
    """Nodes sorted so that each comes behind those whose tensors it reads, and by a rank where that leaves a choice.

    Raises
    ------
    TaggerError
        If they read each other in a circle.
    """
    maker = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    waiting: list[int] = []
    readers: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        makers = {maker[name] for name in (*node.input, *outer_reads(node)) if name in maker} - {place}
        waiting.append(len(makers))
        for one in makers:
            readers.setdefault(one, []).append(place)
    ready = [(rank(place), place) for place, count in enumerate(waiting) if not count]
    heapify(ready)
    found = []
    while ready:
        _, place = heappop(ready)
        found.append(nodes[place])
        for reader in readers.get(place, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, (rank(reader), reader))
    if len(found) < len(nodes):
        raise TaggerError("put back, the part and the model would read each other in a circle; extract it again")
    return found
