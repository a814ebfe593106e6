"""Which results are held when a run holds most: from the order of the kernels and the shapes of what they made.

Each result is held from the kernel that makes it until the last one that reads it has run. Operators that only look at
a tensor in another way make nothing. Weights are not counted, and neither is what kernels use while they run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from onnx_tagger.model.texts import brief_fields

# Operators whose result onnxruntime keeps in the memory of their first input.
_VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel of a run.

    Attributes
    ----------
    node : onnx.NodeProto
    sizes : mapping
        Name of a result to its bytes.
    """

    node: onnx.NodeProto
    sizes: Mapping[str, float]

    __repr__ = brief_fields


def live_at_peak(steps: Sequence[Step], outputs: Sequence[str]) -> tuple[float, list[float]]:
    """Bytes that are held at the fullest moment, of all kernels and of each.

    Parameters
    ----------
    steps : sequence of Step
        In the order in which they ran.
    outputs : sequence of str
        Results of the whole model, which are held to the end.

    Examples
    --------
    >>> from onnx import helper
    >>> chain = [Step(helper.make_node("Neg", [a], [b]), {b: 8.0}) for a, b in ("xy", "yz")]
    >>> live_at_peak(chain, ["z"])
    (16.0, [8.0, 8.0])
    """
    held, ends, maker = _lifetimes(steps, outputs)
    freed: list[list[str]] = [[] for _ in steps]
    for name, end in ends.items():
        if name in held and end < len(steps):
            freed[end].append(name)
    live = most = 0.0
    peak = -1
    for at, step in enumerate(steps):
        live += sum(held[name] for name in step.node.output if maker.get(name) == at)
        if live > most:
            most, peak = live, at
        live -= sum(held[name] for name in freed[at])
    found = [0.0] * len(steps)
    for name, at in maker.items():
        if at <= peak <= ends[name]:
            found[at] += held[name]
    return most, found


def _lifetimes(
    steps: Sequence[Step], outputs: Sequence[str]
) -> tuple[dict[str, float], dict[str, int], dict[str, int]]:
    """Tensor to its bytes, to the step that reads it last, and to its maker; a view counts as its source."""
    root: dict[str, str] = {}
    held: dict[str, float] = {}
    ends: dict[str, int] = {}
    maker: dict[str, int] = {}
    for at, step in enumerate(steps):
        for name in step.node.input:
            ends[root.get(name, name)] = at
        view = step.node.op_type in _VIEWS and step.node.input
        for name in filter(None, step.node.output):
            if view and root.get(step.node.input[0], step.node.input[0]) in held:
                root[name] = root.get(step.node.input[0], step.node.input[0])
                continue
            root[name] = name
            held[name], maker[name] = step.sizes.get(name, 0.0), at
            ends[name] = at
    for name in outputs:
        if root.get(name, name) in held:
            ends[root.get(name, name)] = len(steps)
    return held, ends, maker
