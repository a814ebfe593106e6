"""An ONNX file read as a skeleton and written by splice: everything but tensor payloads in memory, all else copied.

Reading steps over the payloads and parses what is left; writing copies every byte of the source as it was, except the
metadata and doc_strings that the skeleton says otherwise now. Nothing here knows what the metadata means. A model whose
graph was changed cannot be spliced; it is saved through `onnx`.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import onnx

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.edits import Change
from onnx_tagger.files.external import insist_on_no_data_file, locations, most_external, placed, same_file
from onnx_tagger.files.fetching import fetched
from onnx_tagger.files.filecopy import Output, permissions_of, replacing
from onnx_tagger.files.proof import Weights, weights_of
from onnx_tagger.files.pruning import Pruner
from onnx_tagger.files.sources import ByteSource, SourceReader, data_file, insist_on_content, is_source, open_place
from onnx_tagger.files.splice import Layout, parse, plan
from onnx_tagger.files.wire import (
    Field,
    FileReader,
    MemoryReader,
    Reader,
    StreamReader,
    Window,
    broken,
    fields,
    open_file,
)
from onnx_tagger.model.limits import InputLimits, input_limits
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.model.urls import Place, Url, local_path_of, place_of

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | MemoryReader | BinaryIO | ByteSource


@dataclass(eq=False)
class Skeleton:
    """A model without its tensors' payloads, and where its parts lie in the source.

    Attributes
    ----------
    model : onnx.ModelProto
        Everything but the values of tensors whose message exceeds 1024 bytes (those in nodes of up to 4096 bytes stay).
        What its nodes' `metadata_props` and `doc_string` and its own `metadata_props` hold is what a splice writes;
        other changes are not written.
    path : Path or None
        The file, None for a model that is in memory (whose bytes must not change while the skeleton is in use) or
        elsewhere.
    external : tuple of str or bytes
        The data files that its tensors name, each once, as they stand in the model.
    """

    model: onnx.ModelProto
    path: Path | None
    external: tuple[str | bytes, ...]
    layout: Layout = field(repr=False)
    identity: tuple[int, ...] = field(repr=False)
    memory: Reader | None = field(repr=False)
    initializers: dict[str | bytes, int] | None = field(default=None, repr=False)
    url: Url | None = field(default=None, repr=False)
    data: dict[str, Reader] = field(default_factory=dict, repr=False)  # files elsewhere, which keep what they fetched

    @property
    def place(self) -> Place | None:
        """The file here or elsewhere, None for a model in memory."""
        return self.path if self.url is None else self.url

    @property
    def name(self) -> str:
        """What messages call the source."""
        return str(self.path) if self.memory is None else self.memory.name

    def __repr__(self) -> str:
        where = self.url.shown if self.url is not None else str(self.path or "in memory")
        return brief(self, where, counted(len(self.model.graph.node), "node"))

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        """Open the source again; it must be what it was when the skeleton was read."""
        if self.path is None:
            assert self.memory is not None
            yield self.memory
            return
        with open_file(self.path) as reader:
            if reader.identity != self.identity:
                raise TaggerError(f"{self.path} was changed after it was read; read it again")
            yield reader


def read_skeleton(source: Source) -> Skeleton:
    """Read everything of an ONNX model but its tensors' payloads.

    Parameters
    ----------
    source : path, URL, bytes-like, MemoryReader, binary stream or ByteSource
        A file, here or elsewhere, a serialized model in memory, whole or in pieces, an open stream that can seek, or
        any object that gives bytes at an offset.

    Returns
    -------
    Skeleton
        The parsed rest, with the layout that a splice needs.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is no ONNX model or a damaged one.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        view = memoryview(source)
        view = view.cast("B") if view.c_contiguous else memoryview(bytes(view))
        return read_opened(MemoryReader(view), None)
    if isinstance(source, MemoryReader):
        return read_opened(source, None)
    if not isinstance(source, (str, os.PathLike)) and hasattr(source, "seek"):
        return read_opened(StreamReader(cast(BinaryIO, source)), None)
    if is_source(source) and isinstance(source, ByteSource):
        return read_opened(SourceReader(source), None)
    place = place_of(source, "the model")
    with open_place(place) as reader:
        return read_opened(reader, place)


def read_opened(reader: Reader, place: Place | None) -> Skeleton:
    """The same of what is open already; `place` is where it lies, None for what is in memory."""
    if reader.size == 0:
        raise FileFormatError(f"{reader.name} is empty; give an ONNX model")
    insist_on_content(reader)
    layout, model, most, named = Layout(), onnx.ModelProto(), 0, False

    def take(data: bytearray) -> None:
        nonlocal most, named
        # It ends between two fields of the main graph, so no tensor is in two parts.
        here = most_external(data)
        most += here
        named = named or (here > 0 and b"location" in data)
        parse(model.MergeFromString, data, reader, 0)

    take(_pruned_model(reader, layout, take))
    if not model.HasField("graph"):
        what = "a model without a graph" if model.HasField("ir_version") else "something other than a model"
        raise broken(reader, 0, f"there is {what}")
    # The name of the key lies beside the mark of external data, so that most models skip the walk.
    external = tuple(dict.fromkeys(locations(model, most))) if named else ()
    identity = reader.identity if isinstance(reader, FileReader) else ()
    memory = None if isinstance(reader, FileReader) else reader
    reader.confirm()
    path, url = (None, place) if isinstance(place, Url) else (place, None)
    return Skeleton(model, path, external, layout, identity, memory, url=url)


def _pruned_model(reader: Reader, layout: Layout, take: Callable[[bytearray], object]) -> bytearray:
    """Collect the skeleton's bytes and note on the way where things lie; return those that were not taken before."""
    window, limits = Window(reader), input_limits()
    pruner = Pruner(window, limits, take)
    # A walk to the end first: the fields inside are only worth reading if the outermost ones fit the file.
    layout.top = list(_top_fields(window, reader, limits))
    run = graphs = 0
    for number, kind, at, before, value, end in layout.top:
        if kind != wire.LENGTH:
            raise broken(reader, at, f"field {number} of ModelProto is not a message")
        if number == wire.METADATA_OF_MODEL:
            continue
        record: dict[int, array[int]] = {}
        if number == wire.GRAPH_OF_MODEL:
            graphs += 1
            record = {wire.NODE_OF_GRAPH: layout.nodes, wire.INITIALIZER_OF_GRAPH: layout.initializers}
        elif number == wire.FUNCTION_OF_MODEL:
            layout.functions.append(array("Q"))
            record = {wire.NODE_OF_FUNCTION: layout.functions[-1]}
        if graphs > 1:
            raise broken(reader, at, "a second graph starts, where a model has one")
        pruner.keep(run, before)
        if number == wire.GRAPH_OF_MODEL:
            pruner.graph(value, end, record)
        else:
            pruner.inside(wire.MODEL.children[number], value, end, depth=1, record=record)
        run = end
    pruner.keep(run, reader.size)
    return pruner.out


def _top_fields(window: Window, reader: Reader, limits: InputLimits) -> Iterator[Field]:
    """Yield the model's own fields that a splice or a skeleton has to know of."""
    entries = 0
    for found in fields(window, 0, reader.size):
        if found[0] == wire.METADATA_OF_MODEL:
            entries += 1
            if entries > limits.keys:
                what = f"the model holds more than {limits.keys} metadata entries"
                raise wire.too_much(reader, found[2], what, "keys")
            yield found
        elif found[0] in wire.MODEL.children:
            yield found


def write_spliced(
    skeleton: Skeleton,
    target: str | os.PathLike[str],
    *,
    in_place: bool = False,
    link: bool = False,
    pad_key: str | None = None,
    verify_bytes: bool = False,
) -> Weights | None:
    """Write the source with the metadata and doc_strings that the skeleton holds now.

    Every byte is copied as it was, except metadata entries (those still wanted keep their bytes and place, others are
    cut, new ones come last), changed doc_strings, and the length prefixes around them. Entries that are added and
    later removed again so leave the original, byte for byte.

    Parameters
    ----------
    skeleton : Skeleton
        What `read_skeleton` returned, with changed metadata.
    target : path
        The file to write. It appears whole or not at all; what is there already is replaced and lends its permissions.
    in_place : bool
        Allow the target to be the source.
    link : bool
        Hard-link external data into another folder instead of copying it. (onnx's own loader, from 1.21, refuses
        data files that have several hard links.)
    pad_key : str, optional
        Key of a model metadata entry that may be added so that the weights keep their place modulo 4096, which lets
        the system copy them at full speed. It is an ordinary entry: removed from the skeleton, a later write cuts it.
    verify_bytes : bool
        Read source and result once more before the result takes its place, and insist that every stored tensor and
        every data file is the same.

    Returns
    -------
    Weights or None
        What was proved to be the same, with `verify_bytes`.

    Raises
    ------
    TaggerError
        If the target is the source or one of its data files, cannot be written, external data cannot follow, or the
        result would exceed protobuf's 2 GiB, or `verify_bytes` finds a difference.
    """
    path = local_path_of(target, "the target")
    with skeleton.opened() as reader, ExitStack() as stack:
        before = weights_of(reader, _data_files(skeleton, skeleton.place)) if verify_bytes else None
        is_source = skeleton.path is not None and same_file(path, skeleton.path)
        if is_source and not in_place:
            raise TaggerError(f"{path} is the input itself; choose another target or allow it with --in-place")
        if skeleton.path is not None:
            insist_on_no_data_file(skeleton.external, skeleton.path, path)
        permissions_of(path)
        segments = plan(reader, skeleton.layout, skeleton.model, pad_key=pad_key)
        if is_source and not segments:
            return before
        _check_size(reader, segments, str(path))
        if skeleton.path is not None and skeleton.external and not same_file(path.parent, skeleton.path.parent):
            stack.enter_context(placed(skeleton.external, skeleton.path.parent, path.parent, link=link, model=path))
        elif skeleton.url is not None and skeleton.external:
            stack.enter_context(fetched(skeleton.external, skeleton.url, path))
        # Last in, first out: if the model cannot take its place, its data files are taken away again.
        output = stack.enter_context(replacing(path.resolve()))
        _write(output, reader, segments)
        reader.confirm()
        if before is not None:
            weights_of(output.reader(str(path)), _data_files(skeleton, path)).insist_on(before, path)
            output.resume()
        return before


def _data_files(skeleton: Skeleton, model: Place | None) -> list[Place]:
    """The data files that a model of this skeleton has, were it at this place; none for one in memory."""
    if skeleton.place is None or model is None:
        return []
    return [data_file(model, location, links=2) for location in skeleton.external]


def _check_size(reader: Reader, segments: list[Change], target: str) -> None:
    """Raise if metadata makes a model too large for protobuf that was not so before."""
    size = reader.size + sum(segment.size - (segment.end - segment.start) for segment in segments)
    if reader.size <= wire.MAX_MESSAGE < size:
        raise TaggerError(
            f"{target} would take {size} bytes, and protobuf reads up to {wire.MAX_MESSAGE}; "
            "save the weights as external data first"
        )


def _write(output: Output, reader: Reader, segments: list[Change]) -> None:
    at = 0
    for segment in segments:
        output.copy(reader, at, segment.start)
        for data in segment.pieces():
            output.write(data)
        at = segment.end
    output.copy(reader, at, reader.size)


def splice_bytes(skeleton: Skeleton) -> bytes:
    """Return what `write_spliced` would write, without padding.

    Parameters
    ----------
    skeleton : Skeleton
        What `read_skeleton` returned, with changed metadata.

    Returns
    -------
    bytes
        The serialized model, with its tensors' payloads; external data stays where it is.

    Raises
    ------
    TaggerError
        As `write_spliced`, for the source and the size.
    """
    with skeleton.opened() as reader:
        segments = plan(reader, skeleton.layout, skeleton.model)
        _check_size(reader, segments, reader.name)
        parts: list[bytes | bytearray] = []
        at = 0
        for segment in segments:
            parts.append(reader.read_at(at, segment.start - at))
            parts += segment.pieces()
            at = segment.end
        parts.append(reader.read_at(at, reader.size - at))
        return b"".join(parts)
