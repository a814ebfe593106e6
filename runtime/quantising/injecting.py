"""Noise that a quantised node makes by itself, and what it does to the outputs when it is added to the float file.

The noise of all modules is taken in one run of the quantised file that is given the float file's values, and added to
the float file module by module in one session: as many runs as modules, and no quantising or loading in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.whole import read_whole
from onnx_tagger.runtime.calibration import Calibration, Sample
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.runtime.quantising.noise import Noise

_RAW, _NOISE = "__before_noise", "__noise"


def injected(
    source: Path, quantised: Path, modules: Mapping[str, Sequence[str]], samples: Calibration
) -> dict[str, Noise]:
    """What the noise of each module alone does to the outputs of a float file.

    Parameters
    ----------
    source : Path
        The float file; its nodes have names.
    quantised : Path
        The same with all the nodes quantised that may be, by QuantizeLinear and DequantizeLinear.
    modules : mapping
        Module to the names of its quantised nodes.
    samples : Samples

    Returns
    -------
    dict
        Module to the noise of the outputs.
    """
    nodes = {node.name: node for node in read_whole(source).graph.node}
    outputs = {module: [nodes[name].output[0] for name in names] for module, names in modules.items()}
    inputs = {name for names in modules.values() for each in names for name in nodes[each].input if name}
    floats, rounded = Probe(source), Probe(quantised)
    adding = _Adding(source, [name for names in outputs.values() for name in names])
    found = {module: Noise({}, {}) for module in modules}
    for sample in samples.feeds():
        made = _noise(floats, rounded, sample, inputs, [name for names in outputs.values() for name in names])
        wanted = adding.run(sample, {})
        for module, names in outputs.items():
            found[module].add(wanted, adding.run(sample, {name: made[name] for name in names}))
    return found


def _noise(floats: Probe, rounded: Probe, sample: Sample, inputs: set[str], outputs: Sequence[str]) -> dict[str, Array]:
    """What quantised nodes give less what float ones do, both of them reading float values."""
    values: dict[str, Array] = {}
    computed = {name for node in floats.model.graph.node for name in node.output}
    floats.run(sample, sorted((inputs & computed) | set(outputs)), values.__setitem__)
    found: dict[str, Array] = {}
    rounded.run(sample, list(outputs), found.__setitem__, given={name: values[name] for name in inputs & computed})
    return {name: found[name] - values[name] for name in outputs}


class _Adding:
    """A float file in one session, which takes noise to add to the results of some nodes."""

    def __init__(self, source: Path, names: Sequence[str]) -> None:
        import onnxruntime as ort

        model = read_whole(source)
        wanted = dict.fromkeys(names)
        nodes = list(_with_noise(model.graph, wanted))
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        model.graph.input.extend(
            helper.make_tensor_value_info(name + _NOISE, onnx.TensorProto.FLOAT, None) for name in wanted
        )
        # Shapes of what noise is added to are the same, but nothing is gained by stating them.
        del model.graph.value_info[:]
        options = ort.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self._none = dict.fromkeys((name + _NOISE for name in wanted), np.zeros(1, np.float32))
        self._stated = [value.name for value in model.graph.output]
        try:
            self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise TaggerError(f"{source}: cannot be run with noise: {first_sentence(error)}") from error

    def run(self, sample: Sample, noise: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs with some noise; without any those of the file."""
        given = {name + _NOISE: value for name, value in noise.items()}
        return dict(zip(self._stated, self._session.run(self._stated, {**sample, **self._none, **given}), strict=True))


def _with_noise(graph: onnx.GraphProto, names: Mapping[str, None]) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        made = [name for name in node.output if name in names]
        for place, name in enumerate(node.output):
            if name in names:
                node.output[place] = name + _RAW
        yield node
        for name in made:
            yield helper.make_node("Add", [name + _RAW, name + _NOISE], [name], name + _NOISE)
