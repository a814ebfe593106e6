"""Writing small files whole or not at all; how a file takes another's place is `filecopy`'s."""

from __future__ import annotations

import os
from pathlib import Path

from onnx_tagger.files.filecopy import permissions_of, replacing


def replace_file(target: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `target`, whole or not at all; a link is followed.

    Raises
    ------
    TaggerError
        If the folder is missing or cannot be written, or the target is anything but a regular file.
    """
    permissions_of(Path(target))
    with replacing(Path(target).resolve()) as output:
        output.write(data)
