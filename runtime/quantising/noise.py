"""How far a file's outputs are from another one's over many samples: signal-to-noise, output by output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.runtime.calibration import Calibration
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.metrics import Run

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


def running(path: Path) -> Run:
    """What runs a file: inputs to outputs by name, in onnxruntime with all optimisations on one thread.

    Raises
    ------
    TaggerError
        If it does not load; the function, if it does not run.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise TaggerError(f"{path}: onnxruntime does not load it: {first_sentence(error)}") from error
    names = [value.name for value in session.get_outputs()]

    def run(sample: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return dict(zip(names, session.run(names, dict(sample)), strict=True))
        except Exception as error:
            raise TaggerError(f"{path}: onnxruntime does not run it: {first_sentence(error)}") from error

    return run


def noise(reference: Path, others: Sequence[Path], samples: Calibration) -> list[Noise]:
    """The noise of some files' outputs against a reference's, all run on the same samples, one at a time."""
    found = [Noise({}, {}) for _ in others]
    runs = [running(path) for path in (reference, *others)]
    for sample in samples.feeds():
        wanted, *made = (run(sample) for run in runs)
        for each, values in zip(found, made, strict=True):
            each.add(wanted, values)
    return found
