"""What a file is compared with: a model of torch, another ONNX file, or a recording of either."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.measures.comparison.comparison import Comparison
from onnx_tagger.measures.comparison.recorded import Recording, Values, is_recording
from onnx_tagger.model.arguments import described
from onnx_tagger.runtime.feeds import given_feeds, random_feeds, widths_of
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.runtime.sessions import NotRunError
from onnx_tagger.workflows.comparison.feeding import fitted_feeds, insist_on_repeatable, recorded_file, resampled
from onnx_tagger.workflows.comparison.operations import values_of_file, values_of_observations, with_suspects
from onnx_tagger.workflows.comparison.running import Trial
from onnx_tagger.workflows.reading import read


def recorded(model: object, args: Sequence[object], kwargs: Mapping[str, object] | None) -> Recording:
    """The values that a model of torch computes.

    Raises
    ------
    TaggerError
        If it is none, or torch is missing.
    """
    if isinstance(model, type) or not callable(getattr(model, "named_modules", None)):
        raise TaggerError(f"the model is {described(model)}; give a torch.nn.Module")
    require("torch", "torch", "recording a model")
    from onnx_tagger.exporters.recorded import record

    return record(model, args, kwargs)  # type: ignore[arg-type]


@dataclass
class Reference:
    """What a file is compared with: here a recording, which has one sample and no operations.

    Attributes
    ----------
    name : str
        What it is called in messages.
    """

    name: str
    recording: Recording | None = None

    has_operations: ClassVar[bool] = False

    def sample(self, number: int) -> tuple[Recording, Mapping[str, Values]]:
        """The values of a run, and what it was given."""
        assert self.recording is not None
        if number:
            raise TaggerError(f"{self.name}: holds one sample; give the model for more")
        return self.recording, self.recording.inputs

    def hierarchy(self) -> MapSource | None:
        """By what a file without tags can be tagged."""
        return None

    def insist_on_repeatable(self, recording: Recording) -> None:
        """Raise if another run gives other values; a recording has none."""

    def with_operations(self, comparison: Comparison, trial: Trial) -> Comparison:
        """It has no values of operations."""
        return comparison


@dataclass
class ModelReference(Reference):
    """A model of torch."""

    has_operations: ClassVar[bool] = True

    model: Any = None
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)

    def _given(self, number: int) -> tuple[tuple[object, ...], dict[str, object]]:
        if not number:
            return self.args, self.kwargs
        from onnx_tagger.exporters.recorded import with_values

        return with_values(self.model, self.args, self.kwargs, lambda value: resampled(value, number))

    def sample(self, number: int) -> tuple[Recording, Mapping[str, Values]]:
        """Run the model on its inputs, or on others of the same kind."""
        args, kwargs = self._given(number)
        found = recorded(self.model, args, kwargs)
        return found, found.inputs

    def hierarchy(self) -> MapSource | None:
        """The model's map, captured."""
        from onnx_tagger.workflows.exporting import capture

        return capture(self.model, self.args, kwargs=self.kwargs)

    def insist_on_repeatable(self, recording: Recording) -> None:
        """Run the model again and raise if it returns something else."""
        again, _ = self.sample(0)
        values = (recording.values[port.value] for port in recording.ports if not port.call and port.side == "out")
        others = (again.values[port.value] for port in again.ports if not port.call and port.side == "out")
        if any(not np.array_equal(one, other, equal_nan=True) for one, other in zip(values, others, strict=False)):
            raise TaggerError(
                f"{self.name}: gives other values in each run, so nothing can be compared with it; seed what it draws, "
                "or compare a file with a file"
            )

    def with_operations(self, comparison: Comparison, trial: Trial) -> Comparison:
        """A comparison with the nodes that compute what no operation of the model does."""
        from onnx_tagger.exporters.truth.observed import observe

        values = values_of_observations(observe(self.model, self.args, self.kwargs))
        return with_suspects(comparison, trial, values)


@dataclass
class FileReference(Reference):
    """Another ONNX file."""

    has_operations: ClassVar[bool] = True

    path: Path = Path()
    given: Mapping[str, Values] | None = None

    def __post_init__(self) -> None:
        self.probe = Probe(self.path)
        self.tagged = read(self.path)
        insist_on_repeatable(self.tagged.context, str(self.path))

    def sample(self, number: int) -> tuple[Recording, Mapping[str, Values]]:
        """Run the file on its inputs, or on others of the same kind."""
        failure: TaggerError | None = None
        for feeds in self._feeds():
            fed = {name: resampled(value, number) for name, value in feeds.items()}
            try:
                return recorded_file(self.probe, self.tagged.context, fed), fed
            except NotRunError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _feeds(self) -> Iterator[dict[str, Values]]:
        inputs = self.probe.inputs()
        if self.given is not None:
            yield fitted_feeds(str(self.path), inputs, self.given)
            return
        kinds = {name: value.type.tensor_type for name, value in inputs.items()}
        like = _Interface(self.path, kinds, widths_of(self.probe.model.graph))
        yield from random_feeds(like, like)

    def hierarchy(self) -> MapSource | None:
        """The file itself, if it has tags."""
        return self.path if self.tagged.context.tags else None

    def with_operations(self, comparison: Comparison, trial: Trial) -> Comparison:
        """A comparison with the nodes that compute what no node of the file does."""
        values = values_of_file(self.probe, self.tagged.context, trial.recording.inputs, comparison.bad)
        return with_suspects(comparison, trial, values)


@dataclass
class _Interface:
    path: Path
    inputs: dict[str, Any]
    widths: dict[tuple[str, int], int]


def reference_of(
    reference: object, inputs: Any, kwargs: Mapping[str, object] | None, tell: Callable[[str], None]
) -> Reference:
    """What a user means by a reference.

    Raises
    ------
    TaggerError
        If it is none, or its inputs are of another kind.
    """
    if isinstance(reference, Recording):
        return Reference("the recording", reference)
    if callable(getattr(reference, "named_modules", None)) and not isinstance(reference, type):
        args = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        return ModelReference(type(reference).__name__, model=reference, args=args, kwargs=dict(kwargs or {}))
    if not isinstance(reference, (str, os.PathLike)):
        raise TaggerError(
            f"the reference is {described(reference)}; give a torch.nn.Module, a Recording, or the path of an ONNX "
            "file or a recording"
        )
    path = Path(reference)
    if is_recording(path):
        return Reference(str(path), Recording.load(path))
    if path.suffix == ".npz":
        Recording.load(path)
    given: Mapping[str, Values] | None = None
    if isinstance(inputs, Mapping):
        given = {name: np.asarray(value) for name, value in inputs.items()}
    elif isinstance(inputs, (str, os.PathLike)):
        given = given_feeds(Path(inputs), ())
    elif inputs is not None and not (isinstance(inputs, (tuple, list)) and not inputs):
        raise TaggerError(
            f"the inputs are {described(inputs)}; a file takes a mapping of names to arrays, or an .npz file"
        )
    tell("read the reference")
    return FileReference(str(path), path=path, given=given)
