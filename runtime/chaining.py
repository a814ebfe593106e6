"""Stages of a model run one behind the other, and beside the whole on the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.runtime.feeds import Array, given_feeds, random_feeds
from onnx_tagger.runtime.sessions import NotRunError, Runner


@dataclass(frozen=True, slots=True)
class Chained:
    """How a chain of stages compares with the whole.

    Attributes
    ----------
    equal : bool
        Whether all outputs are the same bit for bit.
    outputs : int
        How many were compared.
    different : tuple of str
        Those that are not the same.
    """

    equal: bool
    outputs: int
    different: tuple[str, ...]

    __repr__ = brief_fields


def chain(whole: Path, stages: Sequence[Path], inputs: Path | None = None) -> Chained:
    """Run a file without optimisation, then its stages on the same inputs, and compare the outputs bit for bit.

    Parameters
    ----------
    whole : Path
    stages : sequence of Path
        In their order; each takes inputs of the model and outputs of earlier stages by their names.
    inputs : Path, optional
        An ``.npz`` file of arrays; random values if left out.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If a file does not run.
    """
    require("onnxruntime", "ort", "verifying stages")
    skeleton = read_skeleton(whole)
    names = [value.name for value in skeleton.model.graph.output]
    runner = Runner(whole, skeleton, names)
    feeds, wanted = first_run(runner, inputs)
    known: dict[str, object] = dict(feeds)
    for path in stages:
        part = read_skeleton(path)
        stage = Runner(path, part, [value.name for value in part.model.graph.output])
        lost = next((name for name in stage.inputs if name not in known), None)
        if lost is not None:
            raise TaggerError(f"{path}: takes {lost!r}, which no earlier stage gives; split the model again")
        known |= stage.run({name: known[name] for name in stage.inputs})  # type: ignore[misc]
    stored = {tensor.name for tensor in skeleton.model.graph.initializer}
    compared = [name for name in names if name not in stored]
    different = tuple(name for name in compared if not same(wanted[name], known.get(name)))
    return Chained(not different, len(compared), different)


def shapes_of(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Run a file on random values without optimisation: type and shape of each tensor of its main graph.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If the file does not run.
    """
    require("onnxruntime", "ort", "finding out the shapes that a file leaves open")
    skeleton = read_skeleton(path)
    names = [name for node in skeleton.model.graph.node for name in node.output if name]
    feeds, values = first_run(Runner(path, skeleton, names), None)
    found = {tensor.name: ("", tuple(tensor.dims)) for tensor in skeleton.model.graph.initializer}
    arrays = {**feeds, **values}
    return found | {
        name: (value.dtype.name, value.shape) for name, value in arrays.items() if isinstance(value, np.ndarray)
    }


def first_run(runner: Runner, inputs: Path | None) -> tuple[Mapping[str, Array], Mapping[str, object]]:
    """Inputs that the whole runs with, and what it gives."""
    tried: Iterable[dict[str, Array]]
    tried = random_feeds(runner, runner) if inputs is None else [given_feeds(inputs, runner.inputs)]
    failure: TaggerError | None = None
    for feeds in tried:
        try:
            return feeds, runner.run(feeds)
        except NotRunError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def same(one: object, other: object) -> bool:
    """Whether two values are the same bit for bit, in type and shape too; NaN is NaN.

    Examples
    --------
    >>> same(np.float32([float("nan")]), np.float32([float("nan")])), same(np.zeros(2), np.zeros(3))
    (True, False)
    """
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return bool(np.array_equal(one, other)) if one.dtype.hasobject else one.tobytes() == other.tobytes()
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other is None
