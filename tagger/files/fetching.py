"""The data files of a model that lies elsewhere, fetched into the folder of its copy.

How a local model's data files are copied is said by `external`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import contained, make_folders
from onnx_tagger.files.filecopy import CHUNK, replacing
from onnx_tagger.files.sources import data_file, insist_on_content, open_place
from onnx_tagger.files.wire import Reader
from onnx_tagger.model.urls import Url


@contextmanager
def fetched(locations: Iterable[str | bytes], source: Url, model: Path) -> Iterator[None]:
    """Put the data files of a model beside its copy, and take them away again if the block fails.

    Parameters
    ----------
    locations : iterable of str or bytes
        The data files, relative to both folders.
    source : Url
        The model elsewhere.
    model : Path
        Its copy, which is about to be written.

    Raises
    ------
    TaggerError
        If a data file cannot be had, leaves its folder, or a different file has its name beside the copy.
    """
    with ExitStack() as undo:
        for location in locations:
            far, near = data_file(source, location), contained(model.parent, location)
            if near == model.resolve():
                raise TaggerError(f"{model} would take the name of its data file; choose another name for the model")
            with open_place(far) as reader:
                insist_on_content(reader)
                if near.exists():
                    _insist_on_same(reader, near)
                    continue
                make_folders(near.parent, undo)
                with replacing(near) as output:
                    output.copy(reader, 0, reader.size)
                    reader.confirm()
                undo.callback(near.unlink, missing_ok=True)
        yield
        undo.pop_all()


def _insist_on_same(reader: Reader, path: Path) -> None:
    """Raise unless a local file holds what the reader's holds; sizes that differ tell that without any reading."""
    with open_place(path) as other:
        stride = reader.stride or CHUNK
        same = reader.size == other.size and all(
            reader.read_at(at, stride) == other.read_at(at, stride) for at in range(0, reader.size, stride)
        )
    if not same:
        raise TaggerError(f"{path} already exists and is not the data of this model; choose another folder")
