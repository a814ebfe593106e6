"""Which files a command means: names, globs, folders, and ``-`` for names on stdin. None of them is opened here."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.model.urls import is_url

# Names that a shell would have expanded, had it found anything.
_WILD = frozenset("*?[")


def gather(names: Sequence[str], stdin: Iterable[str] = ()) -> list[str]:
    r"""The files that some names mean, each once, in the order of the names.

    Parameters
    ----------
    names : sequence of str
        A file or its URL; a folder, for all ``*.onnx`` in it and below; a glob (``**`` for any folders), if no file is
        named so;
        or ``-``, for the lines of stdin, each of which is a name again.
    stdin : iterable of str

    Raises
    ------
    TaggerError
        If a glob, a folder or stdin names no file. A file that is missing is for its reader to report.

    Examples
    --------
    >>> gather(["a.onnx", "-"], ["b.onnx\n", "\n", "a.onnx\n"])
    ['a.onnx', 'b.onnx']
    """
    return list(dict.fromkeys(file for name in names for file in _meant(name, stdin)))


def names_many(names: Sequence[str]) -> bool:
    """Whether more than one file may be meant, as by a folder or a glob, even if there is just one."""
    if len(names) != 1:
        return True
    (name,) = names
    return not is_url(name) and (name == "-" or Path(name).is_dir() or _is_glob(name))


def _meant(name: str, stdin: Iterable[str]) -> Iterator[str]:
    if name == "-":
        lines = [line.rstrip("\r\n") for line in stdin]
        found = [file for line in lines if line.strip() for file in _of_name(line)]
        if not found:
            raise TaggerError("-: stdin names no file; give one name on each line")
        yield from found
    else:
        yield from _of_name(name)


def _of_name(name: str) -> list[str]:
    if is_url(name):
        return [name]
    path = Path(name)
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob("*.onnx") if file.is_file())
        if not found:
            raise TaggerError(f"{name}: holds no *.onnx file; name another folder")
        return found
    if _is_glob(name):
        found = sorted(file for file in glob.glob(name, recursive=True) if Path(file).is_file())  # noqa: PTH207 - takes absolute patterns
        if not found:
            advice = advice_on_missing(path) or "quote it as the shell needs, or name the files"
            raise TaggerError(f"{name}: no file is named so; {advice}")
        return found
    return [name]


def _is_glob(name: str) -> bool:
    return not _WILD.isdisjoint(name) and not Path(name).exists()
