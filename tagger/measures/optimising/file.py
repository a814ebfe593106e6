"""Reading the JSON file of a record, within the limits on inputs."""

from __future__ import annotations

from os import PathLike
from typing import TypeVar

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.model.arguments import path_of
from onnx_tagger.model.limits import advice, input_limits

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


T = TypeVar("T")


def read_record(path: str | PathLike[str], kind: type[T]) -> T:
    """Read a JSON file as a record, within the limits on inputs.

    Raises
    ------
    TaggerError
        If it cannot be read as one.
    """
    place, most = path_of(path, "the report"), input_limits().map_bytes
    try:
        with place.open("rb") as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        meant = advice_on_missing(place) if isinstance(error, FileNotFoundError) else ""
        raise TaggerError(f"{place}: cannot be read ({why}); {meant or 'give a file that optimize wrote'}") from None
    if len(data) > most:
        raise TaggerError(f"{place}: holds more than {most} bytes, the limit for a report; {advice('map_bytes')}")
    try:
        return msgspec.json.decode(data, type=kind)
    except _UNREADABLE as error:
        where, fault = place_and_fault(error)
        raise TaggerError(f"{place}: {where or 'the file'}: {fault}; give a file that optimize wrote") from None
