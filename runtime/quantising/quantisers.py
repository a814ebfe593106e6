"""onnxruntime's quantisers, called so that they do what they are asked: by name of node, calibrated once, leaks mended.

What is worked around is known of onnxruntime 1.31; see docs/quantize.md.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.quantising.samples import Samples

# Quantising all operators costs accuracy and fails on masks with infinities; these are those that gain.
OPERATORS = ("MatMul", "Gemm", "Conv")
METHODS = ("minmax", "entropy", "percentile")
FORMATS = ("qdq", "qoperator")

_QUANTISING = ("QuantizeLinear", "DequantizeLinear")


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
    samples: Samples | None,
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
    samples : Samples or None
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
    return mend_leaks(target, frozenset(nodes), kept) if way.static and way.form == "qdq" else 0


def _static(source: Path, target: Path, nodes: Sequence[str], way: Way, samples: Samples, cache: Path) -> None:
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


def _reader(samples: Samples) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[dict[str, Array]] = iter(samples)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._samples, None)

        def rewind(self) -> None:
            self._samples = iter(samples)

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what onnxruntime's quantisers log, which is advice for other callers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
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


def leaks(graph: onnx.GraphProto, quantised: frozenset[str]) -> list[tuple[onnx.NodeProto, int, str]]:
    """Inputs of nodes that were not quantised which read the dequantised copy of a tensor, with that tensor."""
    maker = {name: node for node in graph.node for name in node.output}
    found = []
    for node in graph.node:
        if node.op_type in _QUANTISING or node.name in quantised:
            continue
        for place, name in enumerate(node.input):
            back = maker.get(name)
            to = maker.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
            if to is not None and to.op_type == "QuantizeLinear":
                found.append((node, place, to.input[0]))
    return found


def mend_leaks(path: Path, quantised: frozenset[str], among: frozenset[str] | None = None) -> int:
    """Let nodes that were not quantised read tensors themselves in place of their dequantised copies.

    Parameters
    ----------
    path : Path
        Rewritten if there are any.
    quantised : frozenset of str
        Names of the nodes that were.
    among : frozenset of str, optional
        Mend these nodes alone: to mend all may cost time, since onnxruntime fuses what reads copies.
    """
    model = onnx.load(path)
    found = [each for each in leaks(model.graph, quantised) if among is None or each[0].name in among]
    if not found:
        return 0
    for node, place, tensor in found:
        node.input[place] = tensor
    _drop_unread(model.graph)
    onnx.save(model, path)
    return len(found)


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Take away (de)quantisers whose results nobody reads any more, the last ones first."""
    read = {value.name for value in graph.output}
    for inner in _bodies(graph):
        read.update(name for node in inner.node for name in node.input)
    kept = []
    for node in reversed(graph.node):
        if node.op_type in _QUANTISING and read.isdisjoint(node.output):
            continue
        read.update(node.input)
        kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _bodies(graph: onnx.GraphProto) -> Iterable[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                if body.node:
                    yield body
                    yield from _bodies(body)
