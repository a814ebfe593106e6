"""Parts of a model run beside the whole: does each give, from the tensors that it takes, those that it stands for?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import helper

from onnx_tagger.errors import require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.runtime.chaining import first_run, same
from onnx_tagger.runtime.sessions import Runner, run_both
from onnx_tagger.runtime.verify import TOLERANCES, error_of, kind_of_numbers

_BLOCKED, _PLAIN = "com.microsoft.nchwc", "__plain"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part, and what its border is called in the whole.

    Attributes
    ----------
    path : Path
    inputs, outputs : mapping
        Name in the part to the tensor of the whole.
    channels : mapping
        Tensor of the whole that has the blocked layout, to its channels; the part takes and gives it plain.
    """

    path: Path
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    channels: Mapping[str, int] = field(default_factory=dict)

    __repr__ = brief_fields


@dataclass(frozen=True, slots=True)
class Held:
    """How a part compares with the whole.

    Attributes
    ----------
    different : tuple of str
        Outputs that are not the same bit for bit.
    error : float
        How far the worst of them is apart, as a share of its own size; infinite where shapes or kinds differ.
    """

    different: tuple[str, ...]
    error: float

    __repr__ = brief_fields


class Whole:
    """A model that ran once without optimisation, with the tensors at the borders of some parts.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If it does not run.
    """

    def __init__(self, path: Path, pieces: Sequence[Piece], inputs: Path | None = None) -> None:
        require("onnxruntime", "ort", "verifying parts")
        skeleton = read_skeleton(path)
        channels = {name: count for piece in pieces for name, count in piece.channels.items()}
        there = {name for node in skeleton.model.graph.node for name in node.output if name}
        names = {name for piece in pieces for name in (*piece.inputs.values(), *piece.outputs.values())} & there
        wanted = sorted(name + _PLAIN if name in channels else name for name in names)
        reorder = [
            helper.make_node("ReorderOutput", [name], [name + _PLAIN], domain=_BLOCKED, channels=channels[name])
            for name in sorted(names)
            if name in channels
        ]
        outputs = [value.name for value in skeleton.model.graph.output if value.name in there]
        runner = Runner(path, skeleton, list(dict.fromkeys([*wanted, *outputs])), reorder)
        feeds, values = first_run(runner, inputs)
        self.feeds = dict(feeds)
        self.values: dict[str, object] = {**feeds, **values}
        for name in names & channels.keys():
            self.values[name] = self.values.pop(name + _PLAIN)

    def feeds_of(self, piece: Piece) -> dict[str, object]:
        """What a part takes when the whole runs."""
        return {name: self.values[source] for name, source in piece.inputs.items()}

    def held(self, piece: Piece) -> Held:
        """Run a part on what the whole gives it; outputs that the whole does not hold are left out.

        Raises
        ------
        TaggerError
            If the part does not run.
        """
        part = read_skeleton(piece.path)
        runner = Runner(piece.path, part, [value.name for value in part.model.graph.output])
        known = self.feeds_of(piece)
        found = runner.run({name: known[name] for name in runner.inputs})  # type: ignore[misc]
        pairs = {name: (self.values[t], found.get(name)) for name, t in piece.outputs.items() if t in self.values}
        different = tuple(name for name, (one, other) in pairs.items() if not same(one, other))
        errors = [_apart(*pairs[name]) for name in different]
        return Held(different, max(errors, default=0.0))


def _apart(one: object, other: object) -> float:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape != other.shape:
        return float("inf")
    error = error_of(one, other)
    return float("inf") if error is None else error


@dataclass(frozen=True, slots=True)
class Apart:
    """How far the outputs of two files are apart.

    Attributes
    ----------
    errors : dict
        Output to the distance as a share of its size; infinite where they cannot be compared.
    tolerance : float
        How far they may be, by what kind of numbers the files compute in.
    """

    errors: dict[str, float]
    tolerance: float

    __repr__ = brief_fields

    @property
    def ok(self) -> bool:
        """Whether all are near enough."""
        return all(error <= self.tolerance for error in self.errors.values())


def outputs_apart(original: Path, changed: Path, inputs: Path | None = None) -> Apart:
    """Run two files on the same inputs without optimisation and compare their outputs.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If either does not run.
    """
    require("onnxruntime", "ort", "verifying")
    left, right = read_skeleton(original), read_skeleton(changed)
    names = [value.name for value in left.model.graph.output]
    one, other = run_both(Runner(original, left, names), Runner(changed, right, names), inputs)
    errors = {name: 0.0 if same(one[name], other[name]) else _apart(one[name], other[name]) for name in names}
    return Apart(errors, TOLERANCES[kind_of_numbers(left.model, right.model)])
