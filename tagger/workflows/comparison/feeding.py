"""The reference of a comparison: another ONNX file, recorded at the borders of its modules, and inputs for samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.comparison.recorded import Port, Recording, Shelf, Side, Values
from onnx_tagger.model.graph import operator
from onnx_tagger.model.keys import PREFIX
from onnx_tagger.passes.base import Context
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.workflows.comparison.borders import Borders, module_of

# Operators whose results differ from run to run.
_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)

# Where torch's dynamo exporter keeps the name that an input had before it was renamed.
_ORIGINAL = "pkg.torch.onnx.original_node_name"


def insist_on_repeatable(ctx: Context, where: str) -> None:
    """Refuse a file that computes something else in each run.

    Raises
    ------
    TaggerError
        If it has a random operator.
    """
    for op in ctx.ops:
        if operator(op.node) in _RANDOM or _drops_out(op.node):
            raise TaggerError(
                f"{where}: {op.label} is random, so no two runs agree; export the model in evaluation mode, or make "
                "what it draws an input"
            )


def _drops_out(node: onnx.NodeProto) -> bool:
    return node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])


def is_tagged(ctx: Context) -> bool:
    """Whether nodes of a file carry our own keys."""
    return any(entry.key.startswith(PREFIX) for op in ctx.ops for entry in op.node.metadata_props)


def spans_of(ctx: Context) -> dict[str, tuple[int, int]]:
    """Call to the first and the last node that works for it alone."""
    found: dict[str, tuple[int, int]] = {}
    for op in ctx.ops:
        tag = ctx.tags.get(op)
        if tag is not None and not tag.origins and len(tag.call) < 2:
            call = tag.call[0] if tag.call else tag.module
            found[call] = found.get(call, (op.id, 0))[0], op.id
    return found


def recorded_file(probe: Probe, ctx: Context, feeds: Mapping[str, Values]) -> Recording:
    """Run a file and record what enters and leaves each call of its modules.

    Parameters
    ----------
    probe : Probe
    ctx : Context
        Of the same file, with its tags.
    feeds : mapping
        Input name to values.
    """
    spans = spans_of(ctx)
    borders = Borders.of(ctx, spans)
    at_borders = {name for side in (borders.exits, borders.entries) for names in side.values() for name in names}
    names = [name for name in borders.makers if name in at_borders or name in borders.outputs]
    shelf, tensors = Shelf(), dict[str, int]()

    def look(name: str, found: Values) -> None:
        if found.dtype.kind == "f" and found.size:
            tensors[name] = shelf.add(found)

    probe.run(feeds, names, look)
    # In the order in which the file computes them.
    both: tuple[tuple[Side, Mapping[str, Sequence[str]]], ...] = (("in", borders.entries), ("out", borders.exits))
    ports = [
        Port(call, side, tensors[name])
        for side, by_call in both
        for call, found in by_call.items()
        for name in found
        if name in tensors
    ]
    return Recording(shelf, ports, spans, dict(feeds), tensors)


def modules_of(recording: Recording) -> list[str]:
    """Paths of the modules that ran."""
    return list(dict.fromkeys(module_of(call) for call in recording.calls))


def fitted_feeds(
    where: str, inputs: Mapping[str, onnx.ValueInfoProto], given: Mapping[str, Values]
) -> dict[str, Values]:
    """Values for a file's inputs: by name where the file knows the names, else by position.

    Parameters
    ----------
    where : str
        What errors call the file.
    inputs : mapping
        Name to what the file says of the input.
    given : mapping
        Name to values, in the order of the call.

    Raises
    ------
    TaggerError
        If the file has more inputs than there are values.
    """
    originals = {name: _original(value) for name, value in inputs.items()}
    if set(inputs) <= set(given):
        found = {name: given[name] for name in inputs}
    elif set(originals.values()) <= set(given):
        found = {name: given[original] for name, original in originals.items()}
    elif len(inputs) <= len(given):
        found = dict(zip(inputs, given.values(), strict=False))
    else:
        missing = next(name for name, original in originals.items() if original not in given and name not in given)
        raise TaggerError(f"{where}: there is no value for the input {missing!r}; give one with --inputs")
    return {name: _cast(value, inputs[name]) for name, value in found.items()}


def _original(value: onnx.ValueInfoProto) -> str:
    return next((entry.value for entry in value.metadata_props if entry.key == _ORIGINAL), value.name)


def _cast(value: Values, info: onnx.ValueInfoProto) -> Values:
    wanted = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    return np.ascontiguousarray(value.astype(wanted, copy=False)).reshape(value.shape)


def resampled(value: Values, number: int) -> Values:
    """Another value of the same kind: floats of the same mean and deviation, integers shuffled unless all are 0 or 1.

    Parameters
    ----------
    value : numpy.ndarray
    number : int
        Which sample it is for; the first, 0, is the value itself.

    Examples
    --------
    >>> resampled(np.array([0, 1, 1]), 3), sorted(resampled(np.array([5, 7, 9]), 3).tolist())
    (array([0, 1, 1]), [5, 7, 9])
    """
    if not number:
        return value
    random = np.random.default_rng(number)
    if value.dtype.kind == "f" and value.size:
        plain: npt.NDArray[Any] = value.astype(np.float64)
        made: Values = (random.standard_normal(value.shape) * plain.std() + plain.mean()).astype(value.dtype)
        return made
    if value.dtype.kind in "iu" and value.size and (value.max() > 1 or value.min() < 0):
        return random.permutation(value.ravel()).reshape(value.shape)
    return value
