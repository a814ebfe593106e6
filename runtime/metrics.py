"""A user's own measure of how good a file is, called with any file that can be run; higher is better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import SupportsFloat

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.userfunctions import user_function

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True)
class Metric:
    """The function ``fn(run, samples) -> number`` of a user's file; higher is better.

    ``run`` takes a sample and returns output name to array; it ignores arrays that are no inputs, such as labels.
    ``samples`` is an iterable of dicts of arrays. A drop is the number of the original less that of the changed file.

    Parameters
    ----------
    named : str
        ``FILE.py:FN`` or ``package.module:fn``.
    """

    named: str

    def __call__(self, run: Run, inputs: Iterable[str], samples: Iterable[Mapping[str, Array]]) -> float:
        """The number for one file.

        Parameters
        ----------
        run : callable
            Feeds to outputs by name.
        inputs : iterable of str
            The inputs that the file takes; other arrays of a sample are not passed on to it.
        samples : iterable

        Raises
        ------
        TaggerError
            If the function cannot be found, fails, or returns no finite number.
        """
        function, names = user_function(self.named, "metric"), tuple(inputs)

        def narrowed(sample: Mapping[str, Array]) -> Mapping[str, Array]:
            return run({name: sample[name] for name in names})

        try:
            found = function(narrowed, samples)
        except TaggerError:
            raise
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {first_sentence(error)}"
            raise TaggerError(f"{self.named}: the metric failed: {said}; it is called as fn(run, samples)") from error
        try:
            number = float(found) if isinstance(found, SupportsFloat) else float("nan")
        except (TypeError, ValueError):
            number = float("nan")
        if not isfinite(number):
            raise TaggerError(
                f"{self.named}: the metric returned {found!r}; return one finite number, higher is better"
            )
        return number
