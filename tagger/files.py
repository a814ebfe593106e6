"""Writing small files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from onnx_tagger.errors import TaggerError


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file in the target's folder that takes the target's place when the block ends well.

    The old file or the new one stands, whole: the new one is fsynced, then renamed, then the folder is fsynced. The
    mode is that of the target, or of a new file under the umask.

    Raises
    ------
    TaggerError
        If the folder is missing or cannot be written, or the target is a directory.
    """
    path = Path(target)
    if path.is_dir():
        raise TaggerError(f"{path}: is a directory; name a file to write")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise TaggerError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            os.fchmod(stream.fileno(), _mode_of(path))
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise TaggerError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the platform lets a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(target: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `target`, whole or not at all; see `replacing`."""
    with replacing(target) as stream:
        stream.write(data)
