"""What the tensors at a part's border are called, and nodes with other names for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx

from onnx_tagger.model.metadata import Tag
from onnx_tagger.workflows.cutting.region import Region, owners_of
from onnx_tagger.workflows.splitting.maingraph import MainGraph

NAMES = ("torch", "file")


def border_names(region: Region, graph: MainGraph, tags: Sequence[Tag | None], names: str) -> dict[str, str]:
    """Tensor of the file to what a part calls it.

    With "torch" an input that another module computes is called after this module and its own name
    (``rotary_emb/cos``), and outputs are ``output``, or ``output_0`` and so on; inputs of the model keep their names.
    """
    if names == "file":
        return {name: name for name in (*region.inputs, *region.outputs)}
    taken = {name for index in region.nodes for name in (*graph.makes[index], *graph.reads[index])}
    owners = owners_of(region.inputs, graph, tags)
    found: dict[str, str] = {}
    for name in region.inputs:
        owner = owners[name]
        plain = name if owner is None else f"{owner or '(root)'}/{name.lstrip('/')}"
        found[name] = _free(plain, taken, name)
    for place, name in enumerate(region.outputs):
        plain = "output" if len(region.outputs) == 1 else f"output_{place}"
        found[name] = _free(plain, taken, name)
    return found


def _free(wanted: str, taken: set[str], own: str) -> str:
    """The name itself, or with a number behind it if something else is called so."""
    name, number = wanted, 1
    while name in taken and name != own:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name


def renamed(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    """The same type under another name."""
    made = onnx.ValueInfoProto()
    made.CopyFrom(value)
    made.name = name
    return made


def inner_values(graph: onnx.GraphProto, made: Collection[str], border: Collection[str]) -> list[onnx.ValueInfoProto]:
    """What a file states of tensors that are inside a part."""
    return [value for value in graph.value_info if value.name in made and value.name not in border]
