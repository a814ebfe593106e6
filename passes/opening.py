"""A context made of what a caller gives a pass manager: a model or a file of one, a map or a file that holds one.

What is done in the context is the passes' matter; how a file is read `files`'.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.tensors import read_blocks, read_initializer
from onnx_tagger.files.whole import parse_whole, read_whole
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.model.arguments import described
from onnx_tagger.model.report import Report
from onnx_tagger.passes.base import Context, Values

ModelSource = onnx.ModelProto | str | os.PathLike[str] | bytes


def context_of(model: ModelSource, hierarchy: MapSource | None, report: Report, *, whole: bool) -> Context:
    """Make a context of a model and a map, either of which may be a file.

    Parameters
    ----------
    model : onnx.ModelProto, path or bytes
        A file, or the bytes of one, is read without its weights, which are read where a pass asks for their values.
    hierarchy : HierarchyMap, path or None
        None for the modules that the model names by itself.
    report : Report
        Taken into the context.
    whole : bool
        Read all of a file, for passes that change the graph.

    Raises
    ------
    TaggerError
        If either is something else, or cannot be read.
    """
    values = blocks = None
    if isinstance(model, (str, os.PathLike)) and whole:
        proto = read_whole(Path(model))
    elif isinstance(model, bytes) and whole:
        proto = parse_whole(model, "the given bytes")
    elif isinstance(model, (str, os.PathLike, bytes)):
        skeleton = read_skeleton(model)
        proto, values = skeleton.model, reader_of_values(skeleton, report)
        blocks = reader_of_blocks(skeleton, report)
    elif isinstance(model, onnx.ModelProto):
        proto = model
    else:
        raise TaggerError(f"the model is {described(model)}; give an onnx.ModelProto, or the path of an ONNX file")
    tree = load_map(hierarchy, beside=proto) if hierarchy is not None else hierarchy_of_model(proto)
    return Context(proto, tree, report=report, values=values, blocks=blocks)


def reader_of_blocks(skeleton: Skeleton, report: Report) -> Callable[[str], Iterator[Values]]:
    """Reads weights on request, some rows at a time; the first one that cannot be read is noted."""

    def read(name: str) -> Iterator[Values]:
        try:
            yield from read_blocks(skeleton, name)
        except TaggerError as error:
            _note(report, error)
            raise

    return read


def reader_of_values(skeleton: Skeleton, report: Report) -> Callable[[str], Values | None]:
    """Reads weights on request; those that cannot be read are noted once and do without."""

    def read(name: str) -> Values | None:
        try:
            return read_initializer(skeleton, name)
        except TaggerError as error:
            _note(report, error)
            return None

    return read


def _note(report: Report, error: TaggerError) -> None:
    if not any(note.startswith("weights are not compared") for note in report.fallbacks):
        report.fallbacks.append(f"weights are not compared by value: {error}")
