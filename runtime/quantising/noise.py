"""How far a file's outputs are from another one's over many samples: signal-to-noise, output by output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.quantising.samples import Sample, Samples

# Below this much noise there is none to speak of: what float32 rounds.
_LEAST = 1e-13


@dataclass
class Noise:
    """Energies of the difference and of the reference, added up over samples, for each output.

    Attributes
    ----------
    error, signal : dict
        Output to sums of squares.
    """

    error: dict[str, float]
    signal: dict[str, float]

    def add(self, wanted: Mapping[str, Array], found: Mapping[str, Array]) -> None:
        """Count the outputs of one more sample."""
        for name, value in wanted.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                reference, other = value.astype(np.float64), np.asarray(found[name], np.float64)
                self.error[name] = self.error.get(name, 0.0) + float(np.square(reference - other).sum())
                self.signal[name] = self.signal.get(name, 0.0) + float(np.square(reference).sum())

    @property
    def share(self) -> float:
        """Noise as a share of the signal, added up over the outputs."""
        return sum(self.error[name] / self.signal[name] for name in self.error if self.signal[name] > 0)

    @property
    def sqnr(self) -> float:
        """Signal to noise in decibels, of all outputs together."""
        return decibels(self.share)


def decibels(share: float) -> float:
    """Signal to noise of a share of noise: 20 where it is a hundredth.

    Examples
    --------
    >>> decibels(0.01), decibels(0)
    (20.0, 130.0)
    """
    return float(-10 * np.log10(max(share, _LEAST)))


def outputs(path: Path, samples: Iterable[Sample]) -> Iterator[dict[str, Array]]:
    """What a file gives for each sample, in onnxruntime with all optimisations on one thread.

    Raises
    ------
    TaggerError
        If it does not load or run.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_outputs()]
        for sample in samples:
            yield dict(zip(names, session.run(names, dict(sample)), strict=True))
    except TaggerError:
        raise
    except Exception as error:
        raise TaggerError(f"{path}: onnxruntime does not run it: {first_sentence(error)}") from error


def noise(reference: Path, others: Sequence[Path], samples: Samples) -> list[Noise]:
    """The noise of some files' outputs against a reference's, all run on the same samples, one at a time."""
    found = [Noise({}, {}) for _ in others]
    runs = [outputs(path, samples) for path in (reference, *others)]
    for wanted, *made in zip(*runs, strict=True):
        for each, values in zip(found, made, strict=True):
            each.add(wanted, values)
    return found
