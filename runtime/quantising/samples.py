"""What a quantiser is calibrated and measured on: samples from files, a folder, a function or a spec, one at a time.

A sample is a dict of input name to array. None is held longer than it is looked at, so that there may be many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_tagger.errors import SourceError, TaggerError, one_line
from onnx_tagger.files.factories import named_function
from onnx_tagger.runtime.feeds import Array, given_feeds, numpy_type
from onnx_tagger.runtime.specs import spec_feeds

Sample = Mapping[str, Array]

# Samples that a spec of random inputs stands for.
RANDOM = 8

_RETURNS = "a function of samples returns or yields dicts of input name to array"
_FORMS = "give an .npz file, a folder of them, file.py:function, or random:SPEC.json"


class Samples:
    """Samples that fit a file's inputs, given out anew as often as they are asked for.

    Parameters
    ----------
    model : Path
        The file that takes them, named in errors.
    inputs : mapping
        Input name to its type.
    source : str or iterable of dicts
        An ``.npz`` file, a folder of them, ``file.py:function`` or ``package.module:function``, or
        ``random:SPEC.json``.

    Attributes
    ----------
    described : str
        Where they come from, for reports.
    count : int
        How many there are.

    Raises
    ------
    TaggerError
        If there are none, or one does not fit: another name, type or shape, or a number that is none.
    """

    def __init__(
        self, model: Path, inputs: Mapping[str, onnx.TypeProto.Tensor], source: str | Iterable[Sample]
    ) -> None:
        self._model, self._inputs = model, inputs
        self.described = source if isinstance(source, str) else "samples of the caller"
        self._start = _starting(source, inputs)
        self.count = sum(1 for _ in self)
        if not self.count:
            raise TaggerError(f"{self.described}: there is no sample; {_FORMS}")

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for number, sample in enumerate(self._start()):
            yield self._fitting(sample, f"{self.described}: sample {number}")

    @property
    def random(self) -> bool:
        """Whether they are made up, which a report has to say."""
        return self.described.startswith("random:")

    def _fitting(self, sample: object, where: str) -> dict[str, Array]:
        if not isinstance(sample, Mapping):
            raise TaggerError(f"{where} is a {type(sample).__name__}; {_RETURNS}")
        missing = [name for name in self._inputs if name not in sample]
        if missing:
            raise TaggerError(
                f"{where} has no array for the input {missing[0]!r}; the file takes {', '.join(self._inputs)}"
            )
        return {name: self._array(name, sample[name], where) for name in self._inputs}

    def _array(self, name: str, given: Any, where: str) -> Array:
        kind = self._inputs[name]
        found = np.asarray(given)
        dtype = numpy_type(self._model, name, kind)
        if found.dtype != dtype:
            raise TaggerError(f"{where}: {name!r} is of type {found.dtype}, the file takes {dtype}; cast it")
        wanted = [dim.dim_value or None for dim in kind.shape.dim]
        fits = len(wanted) == found.ndim and all(
            size is None or size == there for size, there in zip(wanted, found.shape, strict=True)
        )
        if kind.HasField("shape") and not fits:
            shown = [size if size is not None else "?" for size in wanted]
            raise TaggerError(f"{where}: {name!r} has the shape {list(found.shape)}, the file takes {shown}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise TaggerError(f"{where}: {name!r} holds NaN or infinite values; calibrate on numbers")
        return found


def inputs_of(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto.Tensor]:
    """What a graph takes: its inputs that are no initializers, with their types."""
    stored = {tensor.name for tensor in graph.initializer}
    return {value.name: value.type.tensor_type for value in graph.input if value.name not in stored}


def _starting(
    source: str | Iterable[Sample], inputs: Mapping[str, onnx.TypeProto.Tensor]
) -> Callable[[], Iterator[object]]:
    """What gives the samples out from the first one."""
    if not isinstance(source, str):
        held = list(source)
        return lambda: iter(held)
    if source.startswith("random:"):
        spec = Path(source.removeprefix("random:"))
        return lambda: (spec_feeds(spec, seed) for seed in range(RANDOM))
    path = Path(source)
    if path.is_dir():
        files = sorted(path.glob("*.npz"))
        return lambda: (given_feeds(file, inputs) for file in files)
    if path.suffix == ".npz":
        return lambda: iter([given_feeds(path, inputs)])
    if ":" in source:
        return lambda: _of_function(source)
    raise TaggerError(f"{source}: is no data to calibrate on; {_FORMS}")


def _of_function(source: str) -> Iterator[object]:
    with named_function(source, _RETURNS) as function:
        try:
            found = function()
            yield from [found] if isinstance(found, Mapping) else found  # type: ignore[misc]
        except TaggerError:
            raise
        except (Exception, SystemExit) as error:
            raise SourceError(f"{source}: the function failed: {one_line(error)}; {_RETURNS}") from error
