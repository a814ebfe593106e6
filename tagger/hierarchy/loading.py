"""A map from whatever holds one: the map's own file, or a tagged ONNX file, which knows its modules and its graph.

The map's own file is read by `file`; the module tree that a model's metadata names is put together by `from_model`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import onnx
from onnx.helper import tensor_dtype_to_np_dtype

from onnx_tagger.errors import MapError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.sources import begins_as_model
from onnx_tagger.files.tensors import read_blocks
from onnx_tagger.hierarchy.carriers import tag_by_itself
from onnx_tagger.hierarchy.digest import LEAST_VALUES, digests_of_blocks
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.map import HierarchyMap, Parameter, SavedGraph
from onnx_tagger.model.arguments import described
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import Walk, walk
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.urls import Place, Url, place_of, shown_place

MapSource = HierarchyMap | str | os.PathLike[str]


def load_map(source: MapSource, *, beside: onnx.ModelProto | None = None) -> HierarchyMap:
    """A map from a ``.hierarchy.json[.gz]`` file or from a tagged ``.onnx``; a map itself is returned as it is.

    Parameters
    ----------
    source : HierarchyMap or path
    beside : onnx.ModelProto, optional
        A model that is to be tagged from the map: if it has weights of other names, those of a tagged ``.onnx`` are
        read, so that they can be known by their values.

    Raises
    ------
    MapError
        If it is neither, or the model has no tags.
    """
    return load_with_file(source, beside=beside)[0]


def load_with_file(source: MapSource, *, beside: onnx.ModelProto | None = None) -> tuple[HierarchyMap, Skeleton | None]:
    """The same as `load_map`, with the tagged ``.onnx`` that the map was made of, if it was."""
    if isinstance(source, HierarchyMap):
        return source, None
    if not isinstance(source, (str, os.PathLike)):
        raise MapError(f"the map is {described(source)}; give a HierarchyMap, a .hierarchy.json[.gz] or a tagged .onnx")
    # Here, since reading JSON takes more imports than a whole check of a file does.
    from onnx_tagger.hierarchy.file import WHERE_MAPS_ARE, read_map

    place = place_of(source, "the map")
    if isinstance(place, Path) and not place.exists():
        raise MapError(f"{place}: no such map; {advice_on_missing(place) or WHERE_MAPS_ARE}")
    if Path(place.path if isinstance(place, Url) else place).suffix == ".onnx" or begins_as_model(place):
        return _of_tagged(place, beside)
    return read_map(place), None


@collector_paused()
def _of_tagged(place: Place, beside: onnx.ModelProto | None) -> tuple[HierarchyMap, Skeleton]:
    """The map that a tagged file is: the modules that its nodes name, its graph, and, where asked for, its weights."""
    skeleton = read_skeleton(place)
    tree = hierarchy_of_model(skeleton.model)
    if tree is None:
        raise MapError(
            f"{shown_place(place)}: holds no tags, so it is no map; tag it first, or give its .hierarchy.json"
        )
    walked = walk(skeleton.model)
    tags = [tag_by_itself(op, tree) for op in walked.ops]
    owners = owners_of(walked, tags)
    parameters: tuple[Parameter, ...] = ()
    if beside is not None and any(tensor.name not in owners for tensor in beside.graph.initializer):
        parameters = _parameters(skeleton, owners)
    return replace(tree, graph=SavedGraph.of(walked, tags, owners), parameters=parameters), skeleton


def owners_of(walked: Walk, tags: Sequence[Tag | None]) -> dict[str, tuple[str, ...]]:
    """Stored tensors of the main graph with the modules of the nodes that read them."""
    found: dict[str, dict[str, None]] = {name: {} for name in walked.scopes[0].initializer_names}
    for op, tag in zip(walked.ops, tags, strict=True):
        for name in op.node.input if tag is not None else ():
            if tag is not None and name in found:
                found[name].update(dict.fromkeys(tag.modules))
    return {name: tuple(paths) for name, paths in found.items()}


def _parameters(skeleton: Skeleton, owners: Mapping[str, tuple[str, ...]]) -> tuple[Parameter, ...]:
    """The weights of a tagged file that one module alone reads, with digests of their values.

    A tensor that several modules read says of none of them that it is theirs.
    """
    found = []
    for tensor in skeleton.model.graph.initializer:
        if len(owners[tensor.name]) != 1 or prod(tensor.dims) < LEAST_VALUES:
            continue
        dtype = tensor_dtype_to_np_dtype(tensor.data_type)
        if dtype.kind in "fiub":
            digests = digests_of_blocks(read_blocks(skeleton, tensor.name))
            (owner,) = owners[tensor.name]
            found.append(Parameter(tensor.name, owner, tuple(tensor.dims), dtype.name, digests))
    return tuple(found)
