"""Keeping what a tool made beside the file that it could not become, under a name that is free.

Nothing that is there already is touched; how the result is made is `carrying`'s matter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import same_file
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.sources import begins_as_model


def keep_result(made: Path, target: Path) -> Path | None:
    """Move a result out of its temporary folder, to ``OUT.untagged.onnx`` or, with its data, a folder ``OUT.untagged``.

    A result whose data files lie beside the target already is a single file. Where a name is taken, a number is added.

    Parameters
    ----------
    made : Path
        The result, in a folder that holds nothing else but its data files.
    target : Path
        The file that it was to become.

    Returns
    -------
    Path or None
        The model; None if there is none, or it cannot be moved: then it goes with its folder.
    """
    if not begins_as_model(made):
        return None
    try:
        if _stands_alone(made, target):
            return _moved_file(made, target)
        return _moved_folder(made, target)
    except OSError:
        return None


def _stands_alone(made: Path, target: Path) -> bool:
    """Whether a model needs no other file of its folder once it lies beside the target."""
    try:
        external = read_skeleton(made).external
    except TaggerError:  # such as a model that exceeds a limit
        return len(list(made.parent.iterdir())) == 1
    names = [os.fsdecode(location) for location in external]
    return all(same_file(made.parent / name, target.parent / name) for name in names)


def _names(target: Path, suffix: str) -> Iterator[Path]:
    return (target.with_name(f"{target.stem}.untagged{f'-{n}' if n else ''}{suffix}") for n in count())


def _moved_file(made: Path, target: Path) -> Path:
    for path in _names(target, target.suffix):
        try:
            # Fails where the name is taken, which renaming does not.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            continue
        made.replace(path)
        return path
    raise AssertionError("names do not end")


def _moved_folder(made: Path, target: Path) -> Path:
    for path in _names(target, ""):
        try:
            path.mkdir()
        except FileExistsError:
            continue
        for entry in made.parent.iterdir():
            if entry.is_file() and entry.stat().st_nlink > 1:
                # A link to the input's data: no reader accepts one whose other names it does not know.
                shutil.copyfile(entry, path / entry.name)
            else:
                entry.replace(path / entry.name)
        return path / made.name
    raise AssertionError("names do not end")
