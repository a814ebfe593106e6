"""Files and folders that lie beside a target while it is made, and the sweeping of those that a killed run has left.

Each is locked as long as the run that made it lives; the system gives the lock back when that ends, however it ends. So
the next run that writes the same target knows which ones it can remove. What is written into them is the caller's.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and so nothing swept
    fcntl = None  # type: ignore[assignment]

_LONGEST = 100  # bytes of the target's name: file systems take 255 for a whole name
_FLAGS = sum(getattr(os, flag, 0) for flag in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW"))


def scratch_path(target: Path) -> Path:
    """A fresh hidden name beside a target."""
    return target.with_name(f"{_stem(target)}{os.urandom(6).hex()}.tmp")


def _stem(target: Path) -> str:
    """What the names of a target's scratch files begin with; long names are cut between two characters."""
    name = target.name.encode("utf-8", "surrogateescape")
    short = name if len(name) <= _LONGEST else name[:_LONGEST].decode("utf-8", "ignore").encode()
    return f".{short.decode('utf-8', 'surrogateescape')}."


def open_scratch(target: Path, mode: int) -> tuple[int, Path]:
    """Create a file beside a target that nobody else will touch; what killed runs left there goes first.

    Parameters
    ----------
    target : Path
        The file that it will become.
    mode : int
        Its permissions.

    Returns
    -------
    tuple of (int, Path)
        The open descriptor, which holds the lock, and the path.
    """
    sweep(target)
    while True:
        path = scratch_path(target)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
        if _locked(descriptor, path, wait=True):
            return descriptor, path
        os.close(descriptor)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside a target, which is removed with its contents at the end of the block.

    A process that is started inside inherits the lock: no other run removes the folder while it still works there.
    """
    sweep(target)
    path = scratch_path(target)
    path.mkdir(mode=0o700)
    try:
        with _held(path):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _locked(descriptor, folder, wait=True)
        os.set_inheritable(descriptor, True)
        yield
    finally:
        os.close(descriptor)


def sweep(target: Path) -> None:
    """Remove what runs that were killed have left beside a target; what cannot be removed stays."""
    if fcntl is None:
        return
    for path in _litter(target.parent).pop(_stem(target), ()):
        _remove_left(path)


# The scratch files and folders that were found beside targets, by folder and by what their names begin with.
_listed: dict[Path, dict[str, list[Path]]] | None = None

_SCRATCH = re.compile(r"(\..*\.)[0-9a-f]{12}\.tmp", re.DOTALL)


@contextmanager
def listing_once() -> Iterator[None]:
    """List each folder once in the block, however many files are written there: for many data files of one model."""
    global _listed
    outer, _listed = _listed, {}
    try:
        yield
    finally:
        _listed = outer


def _litter(folder: Path) -> dict[str, list[Path]]:
    """What lies in a folder that is called as scratch files are, by what the names begin with."""
    if _listed is not None and folder in _listed:
        return _listed[folder]
    found: dict[str, list[Path]] = {}
    with suppress(OSError):  # a folder that cannot be listed, or an entry that another run has just removed
        for entry in list(os.scandir(folder)):
            if (name := _SCRATCH.fullmatch(entry.name)) is not None:
                found.setdefault(name[1], []).append(Path(entry.path))
    if _listed is not None:
        _listed[folder] = found
    return found


def _remove_left(path: Path) -> None:
    with suppress(OSError):  # not ours, or gone
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        try:
            if not _locked(descriptor, path, wait=False):
                return
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _locked(descriptor: int, path: Path, *, wait: bool) -> bool:
    """Take the lock of a file that is open; False if another holds it, or the path leads elsewhere by now.

    Where the system has no locks, a new file is taken without one, and an old one is never taken for litter.
    """
    if fcntl is None:
        return wait
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return wait
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
