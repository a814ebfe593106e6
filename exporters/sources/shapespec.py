"""The description of open dimensions in a JSON file (`--dynamic-shapes`): input to axis to the dimension's name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from onnx_tagger.errors import SourceError, first_sentence
from onnx_tagger.exporters.torchscript.flatcall import bound_names

_ALLOWED = (
    'it is a JSON object of input name to {axis: name}, as in {"input_ids": {"0": "batch", "1": "sequence"}}; an input '
    "that holds several tensors has a list or an object of these"
)


def read_shapes(path: Path, model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Any]:
    """Read the file of `--dynamic-shapes`.

    Parameters
    ----------
    path : Path
        The JSON file.
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.

    Returns
    -------
    dict
        What `export` takes as `dynamic_shapes`, with an entry for every input of the call.

    Raises
    ------
    SourceError
        If the file cannot be read, or names an input that the call has not.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path}: cannot be read as JSON ({first_sentence(error)}); {_ALLOWED}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path}: does not hold dynamic shapes; {_ALLOWED}")
    names = bound_names(model, args, kwargs)
    unknown = next((name for name in content if name not in names), None)
    if unknown is not None:
        raise SourceError(f"{path}: the model is not given the input {unknown!r}; it is given {', '.join(names)}")
    return {name: _shape(content.get(name), path, name) for name in names}


def _shape(entry: Any, path: Path, name: str) -> Any:
    """One entry with axes as integers."""
    if entry is None:
        return None
    if isinstance(entry, list):
        return [_shape(item, path, name) for item in entry]
    if not isinstance(entry, dict):
        raise SourceError(f"{path}: input {name!r} has {entry!r} where axes belong; {_ALLOWED}")
    if not all(key.isdecimal() for key in entry):
        return {key: _shape(item, path, name) for key, item in entry.items()}
    wrong = next((said for said in entry.values() if not isinstance(said, str) or not said), None)
    if wrong is not None:
        raise SourceError(f"{path}: input {name!r} has a dimension named {wrong!r}; a name is a text")
    return {int(axis): said for axis, said in entry.items()}
