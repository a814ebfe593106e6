"""onnxruntime's quantisers, called so that they do what they are asked: by name of node, calibrated once, leaks mended.

What is worked around is known of onnxruntime 1.31; see docs/quantize.md.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import onnx

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.runtime.calibration import Calibration
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.quantising.leaks import mend_leaks

# Quantising all operators costs accuracy and fails on masks with infinities; these are those that gain.
OPERATORS = ("MatMul", "Gemm", "Conv")
METHODS = ("minmax", "entropy", "percentile")
FORMATS = ("qdq", "qoperator")


@dataclass(frozen=True)
class Way:
    """How integers are chosen.

    Attributes
    ----------
    static : bool
        From samples, before; else when the file runs.
    form : str
        ``qdq`` or ``qoperator``, of static ones.
    method : str
        ``minmax``, ``entropy`` or ``percentile``, of static ones.
    per_channel : bool
        A scale for each output channel of a weight.
    """

    static: bool
    form: str = "qdq"
    method: str = "minmax"
    per_channel: bool = False


def quantise(
    source: Path,
    target: Path,
    nodes: Sequence[str],
    way: Way,
    samples: Calibration | None,
    cache: Path,
    kept: frozenset[str] = frozenset(),
) -> int:
    """Let onnxruntime quantise some nodes of a file, and no others.

    Parameters
    ----------
    source, target : Path
    nodes : sequence of str
        Names of the nodes, of which there must be one.
    way : Way
    samples : Calibration or None
        What a static way is calibrated on.
    cache : Path
        Where the ranges are kept, so that several variants are calibrated once.
    kept : frozenset of str
        Names of nodes that are to read no dequantised copy of a tensor: those of modules that stay as they are.

    Returns
    -------
    int
        Reads of a dequantised copy by nodes that were not quantised, which were mended.

    Raises
    ------
    TaggerError
        If no node is named, or onnxruntime cannot.
    """
    if not nodes:
        # An empty list means all to onnxruntime.
        raise TaggerError(f"{source}: no node is left to quantise; choose more modules")
    with _quiet(), _told(source):
        if way.static:
            assert samples is not None
            _static(source, target, nodes, way, samples, cache)
        else:
            _dynamic(source, target, nodes, way)
    return _mended(target, kept) if way.static and way.form == "qdq" else 0


def _mended(path: Path, kept: frozenset[str]) -> int:
    model = onnx.load(path)
    count = mend_leaks(model, kept)
    if count:
        onnx.save(model, path)
    return count


def _static(source: Path, target: Path, nodes: Sequence[str], way: Way, samples: Calibration, cache: Path) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    quantize_static(
        source,
        target,
        _reader(samples),
        quant_format=QuantFormat.QDQ if way.form == "qdq" else QuantFormat.QOperator,
        op_types_to_quantize=list(OPERATORS),
        nodes_to_quantize=list(nodes),
        per_channel=way.per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=methods[way.method],
        calibration_cache_path=cache,
    )


def _dynamic(source: Path, target: Path, nodes: Sequence[str], way: Way) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Shape inference of onnxruntime's fails where initializers have value_info, as torch's exporter writes it.
    model = onnx.load(source)
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.value_info if value.name not in stored]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    quantize_dynamic(
        model,
        target,
        op_types_to_quantize=list(OPERATORS),
        nodes_to_quantize=list(nodes),
        per_channel=way.per_channel,
        weight_type=QuantType.QInt8,
    )


def _reader(samples: Calibration) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[dict[str, Array]] = samples.feeds()

        def get_next(self) -> dict[str, Array] | None:
            return next(self._samples, None)

        def rewind(self) -> None:
            self._samples = samples.feeds()

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what onnxruntime's quantisers log and print, which is advice for other callers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _told(source: Path) -> Iterator[None]:
    try:
        yield
    except TaggerError:
        raise
    except Exception as error:
        raise TaggerError(
            f"{source}: onnxruntime cannot quantise it: {type(error).__name__}: {first_sentence(error)}; "
            "keep the modules that it names with --keep, or try another method"
        ) from error
