"""What goes from stage to stage, and of what type: from the file, from shape inference, else from onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.shapes import inferred_graph
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.workflows.splitting.maingraph import MainGraph
from onnx_tagger.workflows.splitting.staging import Staging


@dataclass(frozen=True)
class Border:
    """The tensors that a stage takes and gives.

    Attributes
    ----------
    inputs : dict
        Tensor name to the stage that gives it, or None for an input of the model.
    outputs : list of str
    stored : list of str
        The initializers that it reads; one that several stages read is in each of them.
    """

    inputs: dict[str, int | None]
    outputs: list[str]
    stored: list[str]

    def __repr__(self) -> str:
        return brief(self, counted(len(self.inputs), "input"), counted(len(self.outputs), "output"))


def borders_of(graph: MainGraph, staging: Staging) -> list[Border]:
    """The borders of all stages."""
    given: dict[str, int] = {}
    for place, nodes in enumerate(staging.stages):
        given |= {name: place for index in nodes if index not in graph.constant for name in graph.makes[index]}
    takes: list[dict[str, int | None]] = []
    stored: list[list[str]] = []
    wanted = dict.fromkeys(graph.outputs)
    for place, nodes in enumerate(staging.stages):
        inside = {name for index in nodes for name in graph.makes[index]}
        read = dict.fromkeys(name for index in nodes for name in graph.reads[index])
        stored.append([name for name in read if name in graph.stored and name not in inside])
        takes.append({name: given.get(name) for name in read if name not in inside and name not in graph.stored})
        wanted |= dict.fromkeys(takes[place])
    outputs = [
        [name for index in nodes if index not in graph.constant for name in graph.makes[index] if name in wanted]
        for nodes in staging.stages
    ]
    return [Border(*one) for one in zip(takes, outputs, stored, strict=True)]


def typed(
    model: onnx.ModelProto,
    names: Collection[str],
    ask: Callable[[list[str]], Mapping[str, onnx.ValueInfoProto]],
) -> dict[str, onnx.ValueInfoProto]:
    """Name, type and shape of tensors of the main graph.

    Parameters
    ----------
    model : onnx.ModelProto
        Weights may be missing.
    names : collection of str
    ask : callable
        Gives the types of tensors that the file says nothing of, and ONNX does not infer.

    Raises
    ------
    TaggerError
        If nothing says of what type a tensor is.
    """
    found = {value.name: value for value in _stated(model.graph) if value.name in names and _has_type(value)}
    if len(found) < len(names):
        inferred = inferred_graph(model)
        found |= {v.name: v for v in inferred.value_info if v.name in names and v.name not in found and _has_type(v)}
    open_names = [name for name in names if name not in found]
    if open_names:
        found |= ask(open_names)
    lost = next((name for name in names if name not in found), None)
    if lost is not None:
        raise TaggerError(f"the type of the tensor {lost!r} at a border is not known; cut elsewhere")
    return found


def _stated(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*graph.value_info, *graph.input, *graph.output]


def _has_type(value: onnx.ValueInfoProto) -> bool:
    """Whether it says more than a name: of a tensor its element type and shape."""
    kind = value.type.WhichOneof("value")
    tensor = value.type.tensor_type
    return kind is not None and (kind != "tensor_type" or (tensor.elem_type != 0 and tensor.HasField("shape")))
