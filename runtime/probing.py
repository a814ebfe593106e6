"""Running a file with inner tensors exposed, and with some of them replaced by values that are given.

Weights are in memory once, however often a file is loaded with other tensors exposed. Which tensors are looked at, and
what they are compared with, is for workflows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_tagger.errors import first_sentence, require
from onnx_tagger.files.whole import read_whole
from onnx_tagger.model.texts import brief
from onnx_tagger.runtime.feeds import Array
from onnx_tagger.runtime.sessions import NotRunError, opened, plain_options

# Smaller weights stay in the graph, where onnxruntime looks for shapes and axes.
_SMALL = 1024

# Suffixes of the tensors that a probe adds.
_GIVEN, _PLAIN, _NUDGED, _STEPS = "__given", "__plain", "__nudged", "__steps"

_BLOCKED = "com.microsoft.nchwc"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Nudge:
    """By how many steps each number of a tensor of integers is moved, up to the ends of their range.

    Attributes
    ----------
    steps : numpy.ndarray
        Whole numbers in the shape of the tensor and the type of its scale.
    scale, zero : str
        The tensors that say what the integers stand for; `zero` may be empty.
    """

    steps: Array
    scale: str
    zero: str

    def __repr__(self) -> str:
        return brief(self, f"{self.steps.size} numbers", self.scale)


class Probe:
    """A file, to be run with whatever of its tensors is asked for.

    Parameters
    ----------
    path : path
        An ONNX file; external data is found beside it.

    Attributes
    ----------
    model : onnx.ModelProto
        Without the values of its large weights.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If the file cannot be read with its weights.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        require("onnxruntime", "ort", "comparing")
        self.path = Path(path)
        self.model = read_whole(self.path)
        self._drop_unread()
        self.weights: dict[str, Array] = dict(self._taken())
        self.channels: dict[str, int] = {}

    def _drop_unread(self) -> None:
        """Leave out what is stored and nobody reads: onnxruntime does, and misses it then."""
        graph = self.model.graph
        read = {value.name for value in graph.output} | {name for each in _graphs(graph) for name in _read_in(each)}
        for place in reversed(range(len(graph.initializer))):
            if graph.initializer[place].name not in read:
                del graph.initializer[place]

    def _taken(self) -> Iterator[tuple[str, Array]]:
        """Take the large weights out of the graph."""
        for tensor in self.model.graph.initializer:
            kind = tensor.data_type
            # Asking for the bytes copies them.
            data = tensor.raw_data if kind in _PLAIN_KINDS and tensor.HasField("raw_data") else b""
            if len(data) >= _SMALL:
                array = np.frombuffer(data, dtype=helper.tensor_dtype_to_np_dtype(kind))
                yield tensor.name, array.reshape(tuple(tensor.dims))
                size = len(data)
                tensor.ClearField("raw_data")
                tensor.data_location = onnx.TensorProto.EXTERNAL
                for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
                    tensor.external_data.add(key=key, value=value)

    def weight(self, name: str) -> Array | None:
        """The values of a stored tensor; None if there is none of that name."""
        if name in self.weights:
            return self.weights[name]
        found = next((tensor for tensor in self.model.graph.initializer if tensor.name == name), None)
        return None if found is None else np.asarray(numpy_helper.to_array(found))

    def inputs(self) -> dict[str, onnx.ValueInfoProto]:
        """The inputs that have to be fed."""
        stored = {tensor.name for tensor in self.model.graph.initializer}
        return {value.name: value for value in self.model.graph.input if value.name not in stored}

    def run(
        self,
        feeds: Mapping[str, Array],
        names: Sequence[str],
        look: Callable[[str, Array], None],
        *,
        given: Mapping[str, Array] | None = None,
        nudged: Mapping[str, Nudge] | None = None,
        stored: Mapping[str, Array] | None = None,
        batches: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Run the file and show some of its tensors, one after another.

        Parameters
        ----------
        feeds : mapping
            Input name to values.
        names : sequence of str
            Tensors of the main graph.
        look : callable
            Shown name and value of each tensor; what it does not keep is gone.
        given : mapping, optional
            Tensor to the value that is taken in its place by whatever reads it; the tensor itself is computed still.
        nudged : mapping, optional
            Computed tensor of integers to how it is moved where it is shown, and for whatever reads it, unless another
            value is given for that.
        stored : mapping, optional
            Stored tensor to the values that it has in this run.
        batches : sequence of sequence of str, optional
            The names in parts, which are held in memory one at a time; together if left out.

        Raises
        ------
        NotRunError
            If onnxruntime does not load the file, or not run it on these inputs.
        """
        import onnxruntime as ort

        replaced, moved = dict(given or {}), dict(nudged or {})
        session = self._session(names, replaced, moved, stored or {})
        options = ort.RunOptions()
        options.only_execute_path_to_fetches = True
        known = {value.name for value in session.get_inputs()}
        values = {name: value for name, value in feeds.items() if name in known}
        values |= {self._fed(name): value for name, value in replaced.items() if self._fed(name) in known}
        values |= {name + _STEPS: nudge.steps for name, nudge in moved.items() if name + _STEPS in known}
        for batch in batches if batches is not None else [names]:
            fetched = [self._shown(name, moved) for name in batch]
            try:
                found = session.run(fetched, values, options)
            except Exception as error:
                raise NotRunError(
                    f"{self.path}: does not run on these inputs: {first_sentence(error)}; give others with --inputs"
                ) from error
            for place, name in enumerate(batch):
                value, found[place] = found[place], None
                if isinstance(value, np.ndarray):
                    look(name, value)

    def _fed(self, name: str) -> str:
        """The graph input by which a replaced tensor is given."""
        return name + _PLAIN + _GIVEN if name in self.channels else name + _GIVEN

    def _shown(self, name: str, nudged: Mapping[str, Nudge]) -> str:
        """The graph output by which a tensor is shown."""
        if name in nudged:
            return name + _NUDGED
        return name + _PLAIN if name in self.channels else name

    def _session(
        self,
        names: Sequence[str],
        given: Mapping[str, Array],
        nudged: Mapping[str, Nudge],
        stored: Mapping[str, Array],
    ) -> Any:
        import onnxruntime as ort

        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        graph = model.graph
        if given or nudged:
            _rewired(graph, {name: name + _NUDGED for name in nudged} | {name: name + _GIVEN for name in given})
        _move(graph, nudged)
        for tensor in graph.initializer if stored else ():
            if tensor.name in stored and tensor.name not in self.weights:
                tensor.CopyFrom(numpy_helper.from_array(stored[tensor.name], tensor.name))
        self._add_inputs(graph, given)
        self._add_outputs(graph, names, nudged)
        options = plain_options()
        weights = {name: stored.get(name, value) for name, value in self.weights.items()}
        shared = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) for value in weights.values()]
        if shared:
            options.add_external_initializers(list(self.weights), shared)
        try:
            return opened(model.SerializeToString(), options)
        except Exception as error:
            raise NotRunError(
                f"{self.path}: onnxruntime does not load it: {first_sentence(error)}; comparing needs it to run"
            ) from error

    def _add_inputs(self, graph: onnx.GraphProto, given: Mapping[str, Array]) -> None:
        """Add the inputs by which replaced tensors are given."""
        for name, value in given.items():
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            graph.input.append(helper.make_tensor_value_info(self._fed(name), kind, value.shape))
            if name in self.channels:
                reorder = helper.make_node(
                    "ReorderInput", [self._fed(name)], [name + _GIVEN], name + _GIVEN, domain=_BLOCKED
                )
                graph.node.insert(0, reorder)

    def _add_outputs(self, graph: onnx.GraphProto, names: Sequence[str], nudged: Mapping[str, Nudge]) -> None:
        """Add the outputs by which tensors are shown."""
        stated = {value.name for value in graph.output}
        for name in dict.fromkeys(names):
            if name in nudged:
                graph.output.append(onnx.ValueInfoProto(name=name + _NUDGED))
            elif name in self.channels:
                graph.node.append(
                    helper.make_node(
                        "ReorderOutput",
                        [name],
                        [name + _PLAIN],
                        name + _PLAIN,
                        domain=_BLOCKED,
                        channels=self.channels[name],
                    )
                )
                graph.output.append(onnx.ValueInfoProto(name=name + _PLAIN))
            elif name not in stated:
                graph.output.append(onnx.ValueInfoProto(name=name))


_PLAIN_KINDS = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
    }
)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the bodies in it."""
    stack = [graph]
    while stack:
        each = stack.pop()
        yield each
        for node in each.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    stack.append(attribute.g)
                stack.extend(attribute.graphs)


def _read_in(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
    yield from (value.name for value in graph.output)


def _move(graph: onnx.GraphProto, nudged: Mapping[str, Nudge]) -> None:
    """Add the nodes that move integers: into numbers, so many steps further, and back."""
    for name, nudge in nudged.items():
        kind = helper.np_dtype_to_tensor_dtype(nudge.steps.dtype)
        graph.input.append(helper.make_tensor_value_info(name + _STEPS, kind, nudge.steps.shape))
        numbers, off, sum_ = (f"{name}{_NUDGED}_{part}" for part in ("numbers", "off", "sum"))
        ends = [each for each in (nudge.scale, nudge.zero) if each]
        graph.node.extend(
            [
                helper.make_node("DequantizeLinear", [name, *ends], [numbers], numbers),
                helper.make_node("Mul", [name + _STEPS, nudge.scale], [off], off),
                helper.make_node("Add", [numbers, off], [sum_], sum_),
                helper.make_node("QuantizeLinear", [sum_, *ends], [name + _NUDGED], name + _NUDGED),
            ]
        )


def _rewired(graph: onnx.GraphProto, given: Mapping[str, str]) -> None:
    """Have every node, in bodies too, read another tensor in place of the one that is computed."""
    for each in _graphs(graph):
        # What a body returns of the graph around it is read by the body, too; the main graph's outputs stay.
        for value in each.output if each is not graph else ():
            if value.name in given:
                each.node.append(helper.make_node("Identity", [value.name], [f"{value.name}__returned"]))
                value.name = f"{value.name}__returned"
        for node in each.node:
            for place, name in enumerate(node.input):
                if name in given:
                    node.input[place] = given[name]
