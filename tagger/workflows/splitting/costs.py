"""What nodes cost, by which stages are balanced: bytes of weights, floating-point operations, or time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.measures.work import flops_of
from onnx_tagger.model.graph import Op, operator
from onnx_tagger.model.shapes import inferred_graph
from onnx_tagger.model.texts import counted
from onnx_tagger.workflows.querying import id_of
from onnx_tagger.workflows.reading import Tagged
from onnx_tagger.workflows.splitting.maingraph import MainGraph

MEASURES = ("bytes", "flops", "time")
"""What `--by` takes."""

# A profile that knows less of the time than this is no ground to cut on.
_ENOUGH = 0.9


def costs_of(tagged: Tagged, graph: MainGraph, by: str, file: Path, profile: str | Path | None) -> list[float]:
    """The cost of each node of the main graph, with what its bodies cost.

    Raises
    ------
    TaggerError
        If it is not known: shapes are open, or a profile is of another file.
    """
    if by == "bytes":
        from onnx_tagger.measures.weights import measure

        values = {
            op.id: float(value or 0.0)
            for op, value in zip(tagged.measured.ops, measure(tagged.measured)[0].values, strict=True)
        }
    elif by == "flops":
        values = _flops(tagged, file)
    else:
        values = _times(tagged, file, profile)
    return _at_main(tagged, graph, values)


def _at_main(tagged: Tagged, graph: MainGraph, values: Mapping[int, float]) -> list[float]:
    place = {index: position for position, index in enumerate(graph.ids)}
    found = [0.0] * len(graph.ids)
    top: dict[int, int] = {}
    for op in tagged.context.ops:
        owner = op.scope.owner
        if op.scope.family == "main":
            top[op.id] = op.id if owner is None else top[owner.id]
            found[place[top[op.id]]] += values.get(op.id, 0.0)
    return found


def _flops(tagged: Tagged, file: Path) -> dict[int, float]:
    """Floating-point operations by the shapes that the file states or ONNX infers, else by those of a run."""
    found, unknown = _counted(tagged, _shapes(tagged.context.model))
    if unknown:
        from onnx_tagger.runtime.chaining import shapes_of

        # Sizes that the file leaves open are those of the values that it is run on.
        found, unknown = _counted(tagged, shapes_of(file))
    if unknown:
        raise TaggerError(
            f"{tagged.name}: the operations of {counted(len(unknown), 'node')} are not known, the first is "
            f"{unknown[0].label} of {operator(unknown[0].node)}; balance by time or by bytes"
        )
    return found


Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


def _counted(tagged: Tagged, shapes: Shapes) -> tuple[dict[int, float], list[Op]]:
    """Operations by op id, and the ops whose operations are not known."""
    found: dict[int, float] = {}
    unknown: list[Op] = []
    for op in tagged.context.walk.scopes[0].ops:
        inputs, outputs = ([shapes.get(name) for name in names if name] for names in (op.node.input, op.node.output))
        known = [one for one in inputs if one is not None], [one for one in outputs if one is not None]
        if flops_of(op.node, [], []) == 0.0:
            continue  # no product, whatever the shapes are
        work = None if None in inputs or None in outputs else flops_of(op.node, *known)
        if work is None:
            unknown.append(op)
        else:
            found[op.id] = work
    return found, unknown


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[str, tuple[int, ...]]]:
    graph = inferred_graph(model)
    found = {tensor.name: ("", tuple(tensor.dims)) for tensor in model.graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            found.setdefault(value.name, ("", tuple(dim.dim_value for dim in tensor.shape.dim)))
    return found


def _times(tagged: Tagged, file: Path, given: str | Path | None) -> dict[int, float]:
    """Microseconds by a profile that was saved, or that is taken now."""
    if given is None:
        from onnx_tagger.workflows.profiling.measuring import profile

        # As the file stands, since a node that was fused away cannot be put into a stage.
        found = profile(file, tagged.context.hierarchy, level="disable", sessions=2, runs=10, force=True)
    else:
        found = Profile.load(given)
    ids = {id_of(op): op.id for op in tagged.context.ops}
    names = {op.node.name: op.id for op in tagged.context.ops if op.node.name}
    values: dict[int, float] = {}
    known = 0.0
    for kernel in found.kernels:
        index = names.get(kernel.name, ids.get(kernel.node) if given is None else None)
        if index is not None:
            values[index] = values.get(index, 0.0) + kernel.mean
            known += kernel.mean
    whole = found.whole.mean
    if whole and known < _ENOUGH * whole:
        raise TaggerError(
            f"{given or file}: only {100 * known / whole:.0f} % of the time is of nodes of {tagged.name}, which it was "
            "taken of an optimised form of, or not at all; profile with --level disable"
        )
    return values
