"""Samples that a file is calibrated or measured on, read one at a time and checked against the file's inputs.

What a single file of arrays or an input spec holds is read by ``feeds`` and ``specs``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.runtime.feeds import Array, given_feeds, numpy_type
from onnx_tagger.runtime.specs import spec_feeds
from onnx_tagger.runtime.userfunctions import user_function

RANDOM = "random:"
_RANDOM_SAMPLES = 16
_FORMS = "give an .npz file, a folder of them, FILE.py:FACTORY, package.module:factory or random:SPEC.json"

Inputs = Mapping[str, onnx.TypeProto.Tensor]
Sample = dict[str, Array]


@dataclass(frozen=True)
class Calibration:
    """Samples for a file: each iteration reads them anew, one at a time, so that no two are held together.

    Parameters
    ----------
    source : str or sequence of dicts
        What the user named: an ``.npz`` file (one sample), a folder of them, a factory or ``random:SPEC``; or the
        samples themselves.
    inputs : mapping
        Input name to its type and shape, as the file states them.
    model : Path
        The file; for errors.
    limit : int, optional
        Read at most this many samples.

    Raises
    ------
    TaggerError
        While iterating, if there is no sample, or one does not fit the inputs or holds NaN.
    """

    source: str | Sequence[Mapping[str, object]]
    inputs: Inputs
    model: Path = field(default=Path("the file"))
    limit: int | None = None

    @property
    def random(self) -> bool:
        """Whether the values are made up; ranges found with them say little of real data."""
        return isinstance(self.source, str) and self.source.startswith(RANDOM)

    @property
    def described(self) -> str:
        """Where the samples come from, for reports and errors."""
        return self.source if isinstance(self.source, str) else "the given samples"

    def __iter__(self) -> Iterator[Sample]:
        """Samples in order; arrays that are no inputs (labels, say) stay for a metric."""
        number = 0
        for where, sample in _read(self.source, self.inputs):
            if number == self.limit:
                break
            yield fitted(where, sample, self.inputs, self.model)
            number += 1
        if not number:
            raise TaggerError(
                f"{self.described}: holds no sample to calibrate with; give at least one, better 8 or more"
            )

    def feeds(self) -> Iterator[Sample]:
        """The samples without the arrays that are no inputs."""
        for sample in self:
            yield {name: sample[name] for name in self.inputs}

    def notes(self, count: int) -> list[str]:
        """Sentences for a report on what weakens the samples, given how many were read."""
        said = []
        if self.random:
            said.append(
                f"{self.described}: the samples are random values, so ranges and errors may differ on real data"
            )
        if count == 1:
            said.append(
                f"{self.described}: ranges come from one sample alone; give more for ranges that hold elsewhere"
            )
        return said


def fitted(where: str, sample: Mapping[str, object], inputs: Inputs, model: Path) -> Sample:
    """A sample with its inputs checked and in the file's types.

    Parameters
    ----------
    where : str
        What errors call the sample.
    sample : mapping
        Name to array.
    inputs : mapping
        Input name to type and shape.
    model : Path

    Raises
    ------
    TaggerError
        If an input is missing, has another rank, another fixed dimension or another kind of number, or holds NaN.
    """
    made = {name: np.asarray(value) for name, value in sample.items()}
    for name, kind in inputs.items():
        if name not in made:
            spare = [each for each in made if each not in inputs]
            advice = advice_on(name, spare, f"the file's inputs are {', '.join(inputs)}")
            raise TaggerError(f"{where}: has no array for the input {name!r} of {model}; {advice}")
        made[name] = _checked(where, name, made[name], kind, model)
    return made


def _checked(where: str, name: str, value: Array, kind: onnx.TypeProto.Tensor, model: Path) -> Array:
    wanted = numpy_type(model, name, kind)
    safe = np.can_cast(value.dtype, wanted, "same_kind") and (value.dtype.kind == "b") == (wanted.kind == "b")
    if not safe:
        raise TaggerError(f"{where}: {name!r} is {value.dtype}, but {model} takes {wanted}; convert the array")
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    fits = len(dims) == value.ndim and all(d in (None, n) for d, n in zip(dims, value.shape, strict=True))
    if kind.HasField("shape") and not fits:
        shape = ", ".join("any" if d is None else str(d) for d in dims)
        raise TaggerError(
            f"{where}: {name!r} has the shape {list(value.shape)}, but {model} takes [{shape}]; reshape it"
        )
    if not value.size:
        raise TaggerError(f"{where}: {name!r} has the shape {list(value.shape)} and no values; leave the sample out")
    if value.dtype.kind == "f" and np.isnan(value).any():
        raise TaggerError(f"{where}: {name!r} holds NaN, of which no range can be taken; mend or remove the sample")
    with np.errstate(over="ignore"):
        cast: Array = value.astype(wanted, copy=False)
    # Whole numbers may wrap round, and finite floats become infinite.
    kept = np.array_equal(np.isfinite(cast), np.isfinite(value)) if wanted.kind == "f" else np.array_equal(cast, value)
    if not kept:
        raise TaggerError(f"{where}: {name!r} holds values that do not fit {wanted}, which {model} takes; mend them")
    return cast


def inputs_of(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto.Tensor]:
    """What a graph takes: its inputs that are no initializers, with their types."""
    stored = {tensor.name for tensor in graph.initializer}
    return {value.name: value.type.tensor_type for value in graph.input if value.name not in stored}


def _read(source: str | Sequence[Mapping[str, object]], inputs: Inputs) -> Iterator[tuple[str, Mapping[str, object]]]:
    """What errors call each sample, and the sample."""
    if not isinstance(source, str):
        yield from ((f"sample {number}", sample) for number, sample in enumerate(source))
        return
    if source.startswith(RANDOM):
        path = Path(source.removeprefix(RANDOM))
        for number in range(_RANDOM_SAMPLES):
            yield source, spec_feeds(path, number)
        return
    path = Path(source)
    if path.is_dir():
        for each in sorted(path.glob("*.npz")):
            yield str(each), given_feeds(each, ())
    elif path.suffix == ".npz":
        yield source, given_feeds(path, ())
    elif ":" in source:
        yield from _made(source, user_function(source, "calibration data"))
    else:
        advice = advice_on_missing(path) if not path.exists() else ""
        raise TaggerError(f"{source}: is no calibration data; {advice or _FORMS}")


def _made(source: str, factory: Callable[..., object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        made = factory()
        if not isinstance(made, Iterable) or isinstance(made, Mapping):
            raise TaggerError(f"{source}: returned {type(made).__name__}; return an iterable of dicts of arrays")
        for number, sample in enumerate(made):
            if not isinstance(sample, Mapping):
                kind = type(sample).__name__
                raise TaggerError(f"{source}: sample {number} is {kind}; give dicts of input name to array")
            yield f"{source}, sample {number}", sample
    except TaggerError:
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {first_sentence(error)}"
        raise TaggerError(f"{source}: the factory failed: {said}; mend it") from error
