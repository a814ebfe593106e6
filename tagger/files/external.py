"""External data: which files beside a model hold its tensors' values, where those may lie, and how they follow a model.

How a model's own bytes are read and written is `onnxfile`'s.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.filecopy import CHUNK, replacing
from onnx_tagger.files.scratch import listing_once
from onnx_tagger.files.wire import FileReader, open_file

_TAG = 0x70  # of a tensor's data_location
_COUNTED = 1 << 16  # bytes that are looked at together


def locations(model: onnx.ModelProto, most: int | None = None) -> Iterator[str | bytes]:
    """Yield the data file of each tensor that has one, wherever in the model it is; ``""`` where it says none.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    most : int, optional
        How many tensors can have one, as `most_external` counts them: where so many of the main graph's initializers
        do, no other tensor is looked at.
    """
    found = 0
    for location in _named_by(model.graph.initializer):
        found += 1
        yield location
    if found != most:
        yield from _named_by(_other_tensors(model))


def _named_by(tensors: Iterable[onnx.TensorProto]) -> Iterator[str | bytes]:
    """Yield where the values of each tensor lie that has them elsewhere; of several locations the last one counts."""
    elsewhere = onnx.TensorProto.EXTERNAL
    for tensor in tensors:
        if tensor.data_location == elsewhere:
            location: str | bytes = ""
            for entry in tensor.external_data:
                if entry.key == "location":
                    location = entry.value
            yield location


def most_external(data: bytes | bytearray) -> int:
    """Count what can be a tensor's mark of external data, wherever in a message's bytes it is.

    There are never fewer than tensors that have it, and seldom more: chance bytes of a text or a value look like it.

    Parameters
    ----------
    data : bytes or bytearray
        Whole fields of a model.

    Returns
    -------
    int
        How many there are.

    Examples
    --------
    >>> tensor = onnx.TensorProto(name="w", data_location=onnx.TensorProto.EXTERNAL)
    >>> most_external(tensor.SerializeToString()), most_external(b"weights")
    (1, 0)
    """
    view = memoryview(data)
    # Each slice holds one byte of the next, so that no mark is cut in two.
    return sum(_marks(view[low : low + _COUNTED + 1]) for low in range(0, len(view), _COUNTED))


def _marks(data: memoryview) -> int:
    """Count the pairs of bytes that ``data_location: EXTERNAL`` can start with.

    Field 14, a number, has the tag 0x70, and EXTERNAL is 1; both may be wider than they have to be. So a tag of one
    byte is followed by 0x01 or 0x81, and a wider one starts with 0xf0, followed by 0x00 or 0x80.
    """
    numbers = np.frombuffer(data, np.uint8)
    tags = np.flatnonzero(numbers[:-1] << 1 == _TAG << 1 & 0xFF)
    return int(np.count_nonzero((numbers[tags + 1] ^ numbers[tags] >> 7) << 1 == 2))


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a model stores, in bodies and functions, too."""
    yield from model.graph.initializer
    yield from _other_tensors(model)


def _other_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor but the initializers of the main graph."""
    pending = [graph for info in model.training_info for graph in (info.initialization, info.algorithm)]
    yield from _beside_initializers(model.graph, pending)
    for function in model.functions:
        for attributes in (function.attribute_proto, *(node.attribute for node in function.node)):
            yield from _tensors_of_attributes(attributes, pending)
    while pending:
        graph = pending.pop()
        yield from graph.initializer
        yield from _beside_initializers(graph, pending)


def _beside_initializers(graph: onnx.GraphProto, pending: list[onnx.GraphProto]) -> Iterator[onnx.TensorProto]:
    """Yield a graph's other tensors, and note its bodies to be looked at later."""
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _tensors_of_attributes(node.attribute, pending)


def _tensors_of_attributes(
    attributes: Iterable[onnx.AttributeProto], pending: list[onnx.GraphProto]
) -> Iterator[onnx.TensorProto]:
    """Yield the tensors of attributes, and note the graphs among them to be looked at later."""
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        single = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for sparse in (*single, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        pending += [attribute.g] if attribute.HasField("g") else []
        pending += attribute.graphs


# Hard links that this process has made of data files, by device and inode: those lead nowhere that it does not know.
_OWN_LINKS: Counter[tuple[int, int]] = Counter()


def link_data(old: Path, new: Path) -> None:
    """Hard-link a data file, which stays readable for this process; for others it then has several hard links."""
    os.link(old, new)
    status = new.stat()
    _OWN_LINKS[status.st_dev, status.st_ino] += 1


def contained(folder: Path, location: str | bytes, *, links: int = 1) -> Path:
    """Resolve where a tensor says that its values lie, refusing what leaves the model's folder.

    Parameters
    ----------
    folder : Path
        The folder of the model file.
    location : str or bytes
        The tensor's `location`, relative to the folder; bytes if it is not valid UTF-8.
    links : int
        How many hard links of the file are known to be harmless.

    Returns
    -------
    Path
        The resolved path; the file itself need not exist.

    Raises
    ------
    TaggerError
        If the location is empty, absolute, climbs with ``..``, follows a link out of the folder, or is a file with
        more hard links: the other links may lie anywhere, and onnx 1.21 and newer refuses it, too.
    """
    what = f"the external data {location!r} of the model in {folder}"
    if isinstance(location, bytes) or not location or "\0" in location:
        raise TaggerError(f"{what} is no file name; repair the model's external data")
    relative = Path(location)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise TaggerError(f"{what} lies outside its folder; move the data beside the model and save it again")
    try:
        inside = (folder / relative).resolve()
        root = folder.resolve()
        status = inside.stat() if inside.is_file() else None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise TaggerError(f"{what} cannot be found: {error}; repair the links in the folder") from error
    if not inside.is_relative_to(root):
        raise TaggerError(f"{what} is a link out of its folder; put the file itself there")
    if status is not None and status.st_nlink > links + _OWN_LINKS[status.st_dev, status.st_ino]:
        raise TaggerError(f"{what} has {status.st_nlink} hard links, so it may lie elsewhere, too; put a copy there")
    return inside


def insist_on_no_data_file(locations: Iterable[str | bytes], source: Path, target: Path) -> None:
    """Check that a file to be written is none of those that a model's tensors live in.

    Parameters
    ----------
    locations : iterable of str or bytes
        The data files, relative to the folder of the model.
    source : Path
        The model file.
    target : Path
        The file to be written.

    Raises
    ------
    TaggerError
        If it is one of them.
    """
    for location in locations:
        if location and same_file(source.parent / os.fsdecode(location), target):
            raise TaggerError(f"{target} holds the weights of {source}; choose another target")


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file or folder."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


@contextmanager
def placed(locations: Iterable[str | bytes], source: Path, target: Path, *, link: bool, model: Path) -> Iterator[None]:
    """Put the data files of a model into another folder, and take them away again if the block fails.

    Parameters
    ----------
    locations : iterable of str or bytes
        The data files, relative to both folders.
    source, target : Path
        The folders.
    link : bool
        Hard-link instead of copying. (onnx's own loader, from 1.21, refuses files with several hard links.)
    model : Path
        The model file that is about to be written in the target folder.

    Raises
    ------
    TaggerError
        If a data file is missing, leaves its folder, or a different file has its name in the target folder.
    """
    with ExitStack() as undo, listing_once():
        for location in locations:
            # A file that was linked there before lies in both folders, and nowhere else.
            both = same_file(source / os.fsdecode(location), target / os.fsdecode(location))
            old, new = (contained(folder, location, links=1 + both) for folder in (source, target))
            if new == model.resolve():
                raise TaggerError(f"{model} would take the name of its data file; choose another name for the model")
            with open_file(old) as reader:
                if new.exists():
                    _insist_on_same(reader, new)
                    continue
                make_folders(new.parent, undo)
                _place(reader, old, new, link=link)
                undo.callback(new.unlink, missing_ok=True)
        yield
        undo.pop_all()


def make_folders(folder: Path, undo: ExitStack) -> None:
    """Make a folder and those around it, to be removed again by `undo`."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        try:
            parent.mkdir()
        except OSError as error:
            raise TaggerError(
                f"the folder {parent} cannot be created: {error.strerror}; choose another target"
            ) from error
        undo.callback(parent.rmdir)


def _place(reader: FileReader, old: Path, new: Path, *, link: bool) -> None:
    if link:
        try:
            link_data(old, new)
        except OSError as error:
            raise TaggerError(f"{old} cannot be linked to {new}: {error.strerror}; copy it instead") from error
        return
    with replacing(new) as output:
        output.copy(reader, 0, reader.size)


def _insist_on_same(reader: FileReader, path: Path) -> None:
    """Raise unless a file holds exactly what the reader's file holds."""
    with open_file(path) as other:
        same = reader.identity == other.identity or (
            reader.size == other.size
            and all(reader.read_at(at, CHUNK) == other.read_at(at, CHUNK) for at in range(0, reader.size, CHUNK))
        )
    if not same:
        raise TaggerError(f"{path} already exists and is not the data of this model; choose another folder")
